"""CSV, TSV and the like: a row of fields for each image or caption, with or without a header.

Without a header the fields are found by what they hold: Flickr8k's `name.jpg#0 TAB caption`,
Conceptual Captions' `caption TAB address`.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from pipeline.corpus.field_names import CAPTIONS, IDS, IMAGE_PATHS
from pipeline.corpus.rows.entry import MAX_ROW_BYTES, Entry, past_line, text_of
from schemas.errors import DataError

NUMBERED = re.compile(r"(.+\.[A-Za-z0-9]{3,4})#\d+", re.DOTALL)
"""An image's name with the number of its caption, as in Flickr8k's lists."""
_NAMES_IMAGE = re.compile(
    r"(?:https?://\S+|.*\.(?:jpe?g|png|webp|gif|bmp|tiff?|avif|heic))(?:#\d+)?", re.I
)
_SEPARATORS = "\t|;,"
_KNOWN = {name.lower() for name in (*CAPTIONS, *IMAGE_PATHS, *IDS)}
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_BOM = b"\xef\xbb\xbf"
csv.field_size_limit(MAX_ROW_BYTES)


@dataclass(frozen=True, slots=True)
class Dialect:
    """How the rows of a file are written.

    separator: Between fields.
    names: Of the fields; found by their content where the file has no header.
    start: Byte at which the first row begins.
    """

    separator: str
    names: tuple[str, ...]
    start: int


def find_dialect(stream: BinaryIO) -> Dialect | None:
    """From the first row; None where it is not one of a table with images.

    Raises:
        DataError: the file is UTF-16.
    """
    stream.seek(0)
    line = stream.readline(MAX_ROW_BYTES)
    if line.startswith(_UTF16):
        raise DataError("the file is UTF-16; save it as UTF-8")
    text = text_of(line.removeprefix(_BOM)).rstrip("\r\n")
    for separator in _SEPARATORS:
        if separator not in text:
            continue
        fields = [field.strip() for field in _fields(text, separator)]
        known = [field for field in fields if field.lower() in _KNOWN]
        if known and len(set(fields)) == len(fields):
            return Dialect(separator, tuple(fields), len(line))
        images = [place for place, field in enumerate(fields) if _NAMES_IMAGE.fullmatch(field)]
        if len(fields) == 2 and len(images) == 1:
            names = ["caption", "caption"]
            names[images[0]] = "image"
            return Dialect(separator, tuple(names), 0)
    return None


def delimited(stream: BinaryIO, start: int, stop: int | None) -> Iterator[Entry]:
    """The rows that begin in [start, stop). A row may go over several lines, in quotes."""
    try:
        dialect = find_dialect(stream)
        problem = "its first line is not a row of a table with images"
    except DataError as error:
        dialect, problem = None, str(error)
    if dialect is None:
        yield Entry(start, None, problem)
        return
    lines = _Lines(stream, max(start, dialect.start))
    while stop is None or lines.offset < stop:
        begin = lines.begin_row()
        try:
            fields = next(_rows(lines, dialect.separator), None)
        except csv.Error:
            fields = []
        if fields is None:
            return
        if lines.was_too_long or (lines.taken > 1 and lines.quotes % 2):
            lines.restart()
            yield Entry(begin, None, f"row at byte {begin}: a quote in it does not end")
        elif any(field.strip() for field in fields):
            yield _entry(begin, fields, dialect)


def _entry(begin: int, fields: list[str], dialect: Dialect) -> Entry:
    names = dialect.names
    if len(fields) > len(names) and names[-1].lower() in map(str.lower, CAPTIONS):
        # Nobody quoted the separators of the last field, which is the caption.
        rest = dialect.separator.join(fields[len(names) - 1 :])
        fields = [*fields[: len(names) - 1], rest]
    if len(fields) > len(names):
        detail = f"row at byte {begin} has {len(fields)} fields; the header has {len(names)}"
        return Entry(begin, None, detail)
    if dialect.separator == "|":
        fields = [field.strip() for field in fields]
    row: dict[str, Any] = dict(zip(names, map(_value, fields), strict=False))
    return Entry(begin, row)


def _value(field: str) -> Any:
    """A field; a list of texts where it is one in JSON, as tables on the hub have captions."""
    if field.startswith("["):
        try:
            found = json.loads(field)
        except (ValueError, RecursionError):
            return field
        if isinstance(found, list) and found and all(isinstance(one, str) for one in found):
            return found
    return field


def _fields(text: str, separator: str) -> list[str]:
    return next(_rows(iter([text]), separator), [])


def _rows(lines: Iterator[str], separator: str) -> Iterator[list[str]]:
    if separator in ",;":
        yield from csv.reader(lines, delimiter=separator)
        return
    for line in lines:  # texts between tabs or bars hold quotes of their own
        yield [_unquoted(field) for field in line.rstrip("\r\n").split(separator)]


def _unquoted(field: str) -> str:
    inner = field[1:-1]
    if len(field) > 1 and field[0] == field[-1] == '"' and '"' not in inner.replace('""', ""):
        return inner.replace('""', '"')
    return field


class _Lines:
    """The lines of a stream as text, with the place of each row."""

    def __init__(self, stream: BinaryIO, offset: int) -> None:
        stream.seek(offset)
        self.offset = offset
        self.taken = 0
        """Lines of the row so far."""
        self.quotes = 0
        """Quotes in them: an even number where each ends."""
        self.was_too_long = False
        self._stream = stream
        self._row = offset
        self._behind_first = offset

    def begin_row(self) -> int:
        self.taken = self.quotes = 0
        self._row = self.offset
        self.was_too_long = False
        return self.offset

    def restart(self) -> None:
        """Go on behind the first line of the row."""
        self._stream.seek(self._behind_first)
        self.offset = self._behind_first

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._stream.readline(MAX_ROW_BYTES + 1)
        if not line:
            raise StopIteration
        self.offset += len(line)
        if len(line) > MAX_ROW_BYTES:
            self.offset += past_line(self._stream, line)
        self.taken += 1
        self.quotes += line.count(b'"')
        if self.taken == 1:
            self._behind_first = self.offset
        if self.offset - self._row > MAX_ROW_BYTES:
            self.was_too_long = True
            raise StopIteration
        return text_of(line.removeprefix(_BOM) if self.offset == len(line) else line)
