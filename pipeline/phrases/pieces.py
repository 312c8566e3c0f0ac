"""Where one thing that a caption says ends and the next begins: no phrase runs across.

Alt texts come as lines, class lists as "cat. dog.", tags as "cat | dog": a parser that reads them
as one sentence makes one noun phrase of two names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spacy.tokens import Doc

_LINE_ENDS = "\n\r\t\v\f\x1c\x1d\x1e\x85\u2028\u2029"
_OTHER_STOPS = "…。！？；｡．｜|•·●▪■◦‣∙"  # noqa: RUF001 - stops and list signs of any script
_LINK_ENDS = "com|org|net|edu|gov|info|html?|jpe?g|png|gif|webp|php|co|io"
_BORDER = re.compile(
    rf"[{_LINE_ENDS}{_OTHER_STOPS}]+"
    r"|</?[a-z][^<>\n]{0,100}>"  # a tag of HTML
    r"|(?<=\s)(?:-{1,3}|[–—~]|//?|\\|>|»|→|\*|=)(?=\s)"  # noqa: RUF001 - a sign that stands alone
    rf"|(?<=[a-z]{{2}})[.;!?](?=(?!(?:{_LINK_ENDS})\b)(?:[a-z]{{2}}|a\s))"  # "cat.dog"
    rf"|(?<=\s)[.;!?](?=(?!(?:{_LINK_ENDS}|net)\b)[a-z]{{2}})"  # "cat .dog"
    r"|(?:\\r|\\n)+(?=\w)"  # a line end that was written out
    r"|&(?:amp|quot|nbsp|lt|gt|bull|middot|ndash|mdash|hellip|laquo|raquo|#160|#8226);"
    r"|(?m:^)[ \t]*\d{1,3}\)(?=\s)",  # "1) cat"
    re.IGNORECASE,
)
_WORD_BEFORE, _WORD_AFTER = re.compile(r"\S*\Z"), re.compile(r"\S*")
_STOPS = frozenset({".", "!", "?", ";", ":", "..."})


def pieces(text: str) -> Iterator[tuple[int, str]]:
    """(offset, text) of what lies between line ends, list signs and tags; never blank."""
    start = 0
    for border in _BORDER.finditer(text):
        if not _is_in_link(text, border.start()):
            if text[start : border.start()].strip():
                yield start, text[start : border.start()]
            start = border.end()
    if text[start:].strip():
        yield start, text[start:]


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


def _is_in_link(text: str, place: int) -> bool:
    """Whether the word around `place` is a web address or a path with a drive."""
    before, after = _WORD_BEFORE.search(text, 0, place), _WORD_AFTER.match(text, place)
    word = (before[0] if before else "") + (after[0] if after else "")
    return "://" in word or ":\\" in word or word.startswith("www.")
