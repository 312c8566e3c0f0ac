"""Names that stand alone, which a parser of sentences takes for verbs: `pear`, `stop sign`, `saw`.

Captions that are lists or a single name have no sentence around their words. Such a name is read
once more with an article in front, and is a phrase where the parser then sees one noun phrase.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spacy.tokens import Doc, Span, Token

MAX_WORDS = 3
_PARTS = frozenset(",;:.!?/|&+") | {"and", "or", "..."}
_SAID_WORDS = (
    "yes no ok hello hi hey thanks thank wow oops enjoy buy sell sold shop click read see look go "
    "get come let do don't please welcome love like follow share subscribe swipe tap try win save "
    "here there now then today tomorrow soon again outside inside indoors outdoors together alone "
    "good best top great nice available very so not for in on at by with from of to the a an etc "
    "vs up down above below about over under off out close eat pray think believe feel stay "
    "wait help relax breathe chill keep make take give be null will they"
)
_SAID = frozenset(_SAID_WORDS.split())
"""Words that begin what is said to a reader: no names."""
_SAYS_HOW = "cute pretty vintage classic modern official handmade metallic cloudy new old frozen"
_NO_NAME_ALONE = frozenset(_SAYS_HOW.split())
"""Words that say how something is, which an article would make a noun of."""
_TAKEN_FOR_ADJECTIVES = frozenset({"remote", "convertible"})


def unread_names(doc: Doc, spans: Sequence[Span]) -> Iterator[Span]:
    """The parts of a list, or the one or two words of a caption, which are not phrases yet."""
    if len(doc) > MAX_WORDS and all(token.is_alpha and token.lower_ not in _PARTS for token in doc):
        return
    parts = list(_parts(doc))
    if any(sum(token.is_alpha for token in part) > MAX_WORDS for part in parts):
        return
    if len(parts) == 1 and len(parts[0]) > (MAX_WORDS - 1 if spans else MAX_WORDS):
        return
    read = {token.i for span in spans for token in span}
    for part in parts:
        words = [token for token in part if token.is_alpha]
        if (
            len(words) == len(part)
            and not read.issuperset(token.i for token in part)
            and words[0].lower_ not in _SAID
            and not (len(part) == 1 and _says_how(part[0].lower_))
        ):
            yield part


def noun_of(doc: Doc) -> Token | None:
    """The noun of a text that begins with an article; None where it is not one noun phrase."""
    last = next(token for token in reversed(doc) if token.is_alpha)
    is_name = [(chunk.start, chunk.root.i) for chunk in doc.noun_chunks] == [(0, last.i)]
    return last if is_name and last.tag_.startswith("NN") else None


def as_sentence(name: str) -> str:
    """The name with an article; words together also with a stop, by which more of them are seen."""
    is_more = " " in name or name.lower() in _TAKEN_FOR_ADJECTIVES
    return f"a {name.lower()}." if is_more else f"a {name.lower()}"


def _says_how(word: str) -> bool:
    return word.endswith("ing") or word in _NO_NAME_ALONE


def _parts(doc: Doc) -> Iterator[Span]:
    start = 0
    for end in [*(t.i for t in doc if t.lower_ in _PARTS or t.is_space), len(doc)]:
        words = [token.i for token in doc[start:end] if any(map(str.isalnum, token.text))]
        if words:
            yield doc[words[0] : words[-1] + 1]
        start = end + 1
