"""CSV, TSV and the like: a row of fields for each image or caption, with or without a header.

Without a header the fields are found by what they hold: Flickr8k's `name.jpg#0 TAB caption`,
Conceptual Captions' `caption TAB address`.
"""

from __future__ import annotations

import ast
import csv
import json
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, BinaryIO

from pipeline.corpus.field_names import CAPTIONS, IDS, IMAGE_PATHS, plain_name
from pipeline.corpus.rows.entry import MAX_ROW_BYTES, NAMES_IMAGE, UTF16, Entry, past_line, text_of
from schemas.errors import DataError

NUMBERED = re.compile(r"(.+\.[A-Za-z0-9]{3,4})#\d+", re.DOTALL)
"""An image's name with the number of its caption, as in Flickr8k's lists."""
_SEPARATORS = "\t|;,"
_KNOWN = {plain_name(name) for name in (*CAPTIONS, *IMAGE_PATHS, *IDS)}
_SAYS_SEPARATOR = re.compile(r"sep=.", re.I)
"""The first line that Excel writes, and reads, to say how fields are parted."""
_LONGEST_LIST = 100_000
_MAX_LINES = 64
"""A field between tabs goes over so many lines at most."""
_BOM = b"\xef\xbb\xbf"


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
        DataError: the file is empty or UTF-16, its lines end as no program's do today, or two
            fields of its header have one name.
    """
    stream.seek(0)
    start = 0
    while line := stream.readline(MAX_ROW_BYTES):
        if line.startswith(UTF16):
            raise DataError("the file is UTF-16; save it as UTF-8")
        text = text_of(line.removeprefix(_BOM) if start == 0 else line).rstrip("\r\n")
        if text.strip() and not _SAYS_SEPARATOR.fullmatch(text):
            behind = start + len(line)
            return _dialect(text, start, behind) or _unusual_header(
                text, text_of(stream.readline(MAX_ROW_BYTES)), behind
            )
        start += len(line)
    raise DataError("the file is empty")


def _dialect(text: str, start: int, behind: int) -> Dialect | None:
    """From the text of the first row, which begins at `start` and ends before `behind`."""
    for separator in _SEPARATORS:
        if separator not in text:
            continue
        try:
            fields = [field.strip() for field in next(_rows(iter([text]), separator), [])]
        except csv.Error as error:
            raise DataError(
                f"its first line cannot be read: {_in_words(error)}; end lines with a line feed"
            ) from error
        if any(plain_name(field) in _KNOWN for field in fields):
            counts = Counter(field for field in fields if field)
            if twice := [name for name, count in counts.items() if count > 1]:
                raise DataError(f"its header has {twice[0]!r} more than once; rename one of them")
            return Dialect(separator, tuple(fields), behind)
        images = [place for place, field in enumerate(fields) if NAMES_IMAGE.fullmatch(field)]
        if len(fields) == 2 and len(images) == 1:
            names = ["caption", "caption"]
            names[images[0]] = "image"
            return Dialect(separator, tuple(names), start)
    return None


def _unusual_header(text: str, below: str, behind: int) -> Dialect | None:
    """A header of names that only the user knows: a row with an image is below it."""
    for separator in _SEPARATORS:
        with suppress(csv.Error):
            names, row = (
                [field.strip() for field in next(_rows(iter([line]), separator), [])]
                for line in (text, below)
            )
            if (
                1 < len(names) == len(row) == len(set(names))
                and not any(map(NAMES_IMAGE.fullmatch, names))
                and any(map(NAMES_IMAGE.fullmatch, row))
            ):
                return Dialect(separator, tuple(names), behind)
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
        problem = ""
        try:
            if dialect.separator == "\t":
                fields = _between_tabs(lines, len(dialect.names))
            else:
                fields = next(_rows(lines, dialect.separator), None)
        except csv.Error as error:
            fields, problem = [], _in_words(error)
        if fields is None and not lines.was_too_long:
            return
        if lines.was_too_long and lines.taken == 1:
            lines.restart()
            yield Entry(begin, None, f"row at byte {begin} is longer than {MAX_ROW_BYTES:,} bytes")
        elif lines.was_too_long or (lines.taken > 1 and lines.quotes % 2):
            lines.restart()
            yield Entry(begin, None, f"row at byte {begin}: a quote in it does not end")
        elif problem:
            yield Entry(begin, None, f"row at byte {begin}: {problem}")
        elif fields and any(field.strip() for field in fields):
            yield _entry(begin, fields, dialect)


def _in_words(error: csv.Error) -> str:
    if "new-line character" in str(error):
        return "a carriage return stands in it without a line feed"
    return str(error)


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
    """A field; a list of texts where it is one in JSON, as tables on the hub have captions.

    Or one in Python, as pandas writes a column of lists.
    """
    if field.startswith("[") and field.endswith("]") and len(field) <= _LONGEST_LIST:
        for read in (json.loads, ast.literal_eval):
            try:
                with warnings.catch_warnings(action="ignore"):  # a caption's `\_` is none of ours
                    found = read(field)
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                continue
            if isinstance(found, list) and found and all(isinstance(one, str) for one in found):
                return found
    return field


def _rows(lines: Iterator[str], separator: str) -> Iterator[list[str]]:
    if separator in ",;":
        yield from csv.reader(lines, delimiter=separator)
        return
    for line in lines:  # texts between tabs or bars hold quotes of their own
        yield [_unquoted(field) for field in line.rstrip("\r\n").split(separator)]


def _between_tabs(lines: _Lines, num_fields: int) -> list[str] | None:
    """The next row; over several lines where that gives exactly its fields, one of them in quotes.

    A quote that only begins a caption stays what it is, and the next line is a row of its own.
    """
    line = next(lines, None)
    if line is None:
        return None
    fields = next(_rows(iter([line]), "\t"))
    if len(fields) > num_fields and len(joined := _quoted_fields([line])) == num_fields:
        return joined
    if not any(field.startswith('"') and field.count('"') % 2 for field in fields):
        return fields
    whole = [line]
    for more in lines:
        whole.append(more)
        if more.count('"') % 2:
            joined = _quoted_fields(whole)
            if len(joined) == num_fields and not any("\t" in field for field in joined):
                return joined
            break
        if len(whole) > _MAX_LINES:
            break
    lines.restart()
    return fields


def _quoted_fields(lines: Sequence[str]) -> list[str]:
    try:
        return next(csv.reader(lines, delimiter="\t", strict=True), [])
    except csv.Error:
        return []


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
        self.taken = 1
        self.was_too_long = False

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
