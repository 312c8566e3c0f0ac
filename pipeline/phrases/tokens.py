"""A piece of a caption as words, in a time that grows with its length, and where sentences end."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pipeline.phrases.cut_words import is_only_link

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc

_MAX_CHARS = 128
"""The tokeniser's time grows with the square of a word's length."""
_LONG = re.compile(rf"\S{{{_MAX_CHARS + 1},}}")
_PART = re.compile(rf"\S{{0,{_MAX_CHARS - 1}}}[^\w\s]|\S{{{_MAX_CHARS}}}")
_MAX_SIGNS = 0.35
"""Share of the characters of a long word; more: it is a code."""
_STOPS = frozenset({".", "!", "?", ";", ":", "..."})
_STOP_SIGNS = re.compile("[.!?;:]")


def tokens_of(nlp: Language, text: str) -> Doc:
    """What the tokeniser makes of it; a very long word is given to it part by part."""
    if not _LONG.search(text):
        return nlp.make_doc(text)
    from spacy.tokens import Doc

    if is_only_link(text) and not any(map(str.isspace, text)):
        return Doc(nlp.vocab, words=[text])
    words: list[str] = []
    spaces: list[bool] = []
    for part in _parts(text):
        if _is_code(part):
            words.append(part)
            spaces.append(False)
            continue
        for token in nlp.make_doc(part):
            words.append(token.text)
            spaces.append(bool(token.whitespace_))
    return Doc(nlp.vocab, words=words, spaces=spaces)


def _parts(text: str) -> Iterator[str]:
    """The text, cut within long words, behind signs where there are some."""
    start = 0
    for word in _LONG.finditer(text):
        for part in _PART.finditer(text, word.start(), word.end()):
            yield text[start : part.start()]
            yield part[0]
            start = part.end()
    yield text[start:]


def _is_code(part: str) -> bool:
    """Whether it is a long row of characters with more signs than any list of names has."""
    signs = sum(not char.isalnum() for char in part)
    return len(part) >= _MAX_CHARS // 2 and signs > _MAX_SIGNS * len(part) and " " not in part


def may_end_sentences(text: str) -> bool:
    """Whether there is any sign by which a sentence ends."""
    return _STOP_SIGNS.search(text) is not None


def sentence_ends(doc: Doc) -> frozenset[int]:
    """Where its full stops are, in characters; the tokeniser knows them from those of "St."."""
    return frozenset(token.idx for token in doc if _is_stop(token.text))


def mark_sentences(doc: Doc, ends: frozenset[int]) -> Doc:
    """The same, with a sentence that begins after each end: the parser keeps to it."""
    for token in doc[:-1]:
        if token.idx in ends:
            doc[token.i + 1].is_sent_start = True
    return doc


def _is_stop(word: str) -> bool:
    return word in _STOPS or (len(word) > 1 and not word.strip(".!?;"))
