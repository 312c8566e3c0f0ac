"""What a parser reads in place of a piece of a caption, and where each character of it stands.

Captions of the web hold what no parser was trained on: invisible characters, a quote mark without
its other half, "w/" for "with", names joined by underscores. The caption is never changed; the
parser gets another spelling, and its offsets are led back.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.phrases.cut_words import is_only_link

_OPENING, _CLOSING = "“„‟«", "”»"
_MARK = re.compile(r"[\"“”„‟«»]")
_BRACKET = re.compile(r"[()\[\]{}]")
_REPLACED = re.compile(
    "(?P<gone>[\u00ad\u2122\u00ae])"  # a soft hyphen, a trade mark: inside or behind of a word
    "|(?P<space>[\u200b\u200e\u200f\u2060\ufeff\u3000¿¡\u00a9]|(?<=[^\\W_])_+(?=[^\\W_])"
    r"|(?<!\S)[*_~=#]+(?=[^\W\d])|(?<=\w)[*_~=]+(?!\S)|\s\s+)"  # *cat*, _cat_, #cat
    r"|(?P<apostrophe>(?<=s)\u2019(?=\s+[a-z]))"
    r"|(?P<without>(?<!\w)[wW]/o(?:ut)?(?!\w))"
    r"|(?P<with>(?<!\w)[wW]/(?!\w*/))"
    r"|(?P<escape>\\(?=[\"']))"
    r"|(?P<quote>``|'')"
    r"|(?P<opens>(?<=\w{2})\((?=\w{3}))|(?P<closes>(?<=\w{3})\)(?=\w{2}))"  # man(left)and
    "|(?P<comma>[\uff0c\u3001])"
)
_SPELT = {"gone": "", "space": " ", "with": "with ", "without": "without", "quote": '"'}
_SPELT |= {"comma": ", ", "apostrophe": "'", "escape": "", "opens": " (", "closes": ") "}


@dataclass(frozen=True, slots=True, kw_only=True)
class AsRead:
    """Another spelling of a text."""

    text: str
    places: tuple[int, ...] | None = None
    """Where each character stands in the text itself; None: where it stands here."""
    open_marks: tuple[int, ...] = ()
    """Where the text itself has quote marks or brackets without another half: not read."""

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The characters of the text itself that [start, end) was read from."""
        if self.places is None:
            return start, end
        return self.places[start], self.places[end - 1] + 1

    def cuts(self, start: int, end: int) -> list[int]:
        """Where in [start, end), in characters as read, an open mark was left out."""
        if not self.open_marks or self.places is None:
            return []
        first = bisect_right(self.open_marks, self.places[start])
        last = bisect_left(self.open_marks, self.places[end - 1])
        return [bisect_left(self.places, at, start, end) for at in self.open_marks[first:last]]


def as_read(text: str, shadow: str) -> tuple[AsRead, str]:
    """How a parser should read it, in its own letters and in those of `shadow`.

    Args:
        text: a piece of a caption.
        shadow: the same, character by character, in other letters.
    """
    if is_only_link(text):
        return AsRead(text=text), shadow
    open_marks = tuple(sorted([*_open_quotes(text), *_open_brackets(text)]))
    edits = {
        found.start(): (found.end(), _SPELT[found.lastgroup or ""])
        for found in _REPLACED.finditer(text)
    }
    edits |= {mark: (mark + 1, _in_place_of(text, mark)) for mark in open_marks}
    if not edits:
        return AsRead(text=text), shadow
    own: list[str] = []
    other: list[str] = []
    places: list[int] = []
    at = 0
    while at < len(text):
        end, spelt = edits.get(at, (at + 1, None))
        if own and own[-1][-1:].isspace() and (text[at] if spelt is None else spelt).isspace():
            at = end
            continue
        if spelt != "":
            own.append(text[at] if spelt is None else spelt)
            other.append(shadow[at] if spelt is None else spelt)
        places += [at] if spelt is None else _spread(at, end, len(spelt))
        at = end
    read = AsRead(text="".join(own), places=tuple(places), open_marks=open_marks)
    return read, "".join(other)


def _spread(start: int, end: int, count: int) -> Iterable[int]:
    """A place within [start, end) for each of `count` characters, in order."""
    return [min(start + i, end - 1) for i in range(count)]


def _in_place_of(text: str, mark: int) -> str:
    """Nothing beside a space; a space between two words."""
    return "" if _is_space(text, mark - 1) or _is_space(text, mark + 1) else " "


def _is_space(text: str, place: int) -> bool:
    return not 0 <= place < len(text) or text[place].isspace()


def _open_brackets(text: str) -> list[int]:
    waiting: list[int] = []
    alone: list[int] = []
    for found in _BRACKET.finditer(text):
        if found[0] in "([{":
            waiting.append(found.start())
        elif waiting:
            waiting.pop()
        else:
            alone.append(found.start())
    return alone + waiting


def _open_quotes(text: str) -> list[int]:
    """Double quote marks without another half, by what stands on their sides and by their shape."""
    waiting: list[int] = []
    alone: list[int] = []
    for found in _MARK.finditer(text):
        mark, place = found[0], found.start()
        opens, closes = not _is_space(text, place + 1), not _is_space(text, place - 1)
        if opens == closes:
            closes = bool(waiting) if mark not in _OPENING + _CLOSING else mark in _CLOSING
            closes = closes or (mark == "“" and bool(waiting) and text[waiting[-1]] == "„")
        if mark == '"' and place and text[place - 1].isdigit() and not waiting:
            continue  # inches
        if not closes:
            waiting.append(place)
        elif waiting:
            waiting.pop()
        else:
            alone.append(place)
    return alone + waiting
