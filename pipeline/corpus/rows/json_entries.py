"""A JSON array of objects, one after the other: memory does not grow with the file.

The array is the file's value, as BLIP and LAVIS write captions, or one of the arrays of an object,
as Karpathy's splits and MDETR's files have `images`: the first whose entries name an image. An
object whose first key is an image's name is a table too: each key with its caption or captions.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from pipeline.corpus.field_names import IMAGE_PATHS
from pipeline.corpus.rows.entry import MAX_ROW_BYTES, NAMES_IMAGE, Entry

_BLOCK = 1 << 20
_BLANKS = re.compile("[ \t\n\r\ufeff]*")
_SURE = 64
"""A number may go on in the next block; so many characters behind a value prove that it ended."""


def json_entries(stream: BinaryIO, start: int, stop: int | None) -> Iterator[Entry]:
    """The entries that begin in [start, stop).

    Where the file breaks off or is not JSON, the last entry says so.
    """
    reader = _Reader(stream, start)
    try:
        if start == 0:
            yield from reader.whole(stop)
        else:
            yield from reader.entries(stop)
    except (ValueError, RecursionError) as error:
        yield Entry(reader.offset, None, f"not JSON behind byte {reader.offset:,}: {error}")


class _Reader:
    def __init__(self, stream: BinaryIO, start: int) -> None:
        stream.seek(start)
        self.offset = start
        """Byte of the file at which the next character begins."""
        self._stream = stream
        self._text = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._decode = json.JSONDecoder().raw_decode
        self._buffer = ""
        self._at = 0
        self._is_last = False

    def whole(self, stop: int | None) -> Iterator[Entry]:
        """From the file's first character."""
        opening = self._next()
        if opening == "[":
            self._step()
            yield from self.entries(stop)
            return
        if opening != "{":
            raise ValueError("it must be an array, or an object that holds one")
        self._step()
        while self._next() not in ("}", ""):
            start = self.offset
            key = self._value()
            self._expect(":")
            if isinstance(key, str) and NAMES_IMAGE.fullmatch(key):
                yield _named(start, key, self._value())
                self._comma("}")
                yield from self.entries(stop, "}")
                return
            if self._next() != "[":
                self._value()
            else:
                self._step()
                found = self.entries(stop)
                first = next(found, None)
                if first is not None and _names_image(first.row):
                    yield first
                    yield from found
                    return
                for _ in found:  # of another array
                    pass
            if self._next() == ",":
                self._step()
            elif self._next() != "}":
                raise ValueError(f"the object ends behind {key!r}")

    def entries(self, stop: int | None, close: str = "]") -> Iterator[Entry]:
        """From the first entry, or from any, to the end of the array, or of the object."""
        while self._next() not in (close, ""):
            if stop is not None and self.offset >= stop:
                return
            start = self.offset
            value = self._value()
            if isinstance(value, str) and self._next() == ":":
                self._step()
                close = "}"
                yield _named(start, value, self._value())
            elif isinstance(value, dict):
                yield Entry(start, value)
            else:
                kind = type(value).__name__
                yield Entry(start, None, f"entry at byte {start} must be an object, got {kind}")
            self._comma(close)
        if not self._next():
            raise ValueError("the array does not end")
        self._step()

    def _value(self) -> Any:
        while True:
            self._next()
            try:
                value, end = self._decode(self._buffer, self._at)
            except json.JSONDecodeError as error:
                waiting = len(self._buffer) - self._at
                if self._is_last or waiting > MAX_ROW_BYTES:
                    raise ValueError(error.msg) from error
                self._more()
                continue
            if end + _SURE > len(self._buffer) and not self._is_last:
                self._more()
                continue
            self._step(end - self._at)
            return value

    def _next(self) -> str:
        """The next character that is not a blank; it stays where it is. Empty at the end."""
        while True:
            blanks = _BLANKS.match(self._buffer, self._at)
            self._step(len(blanks[0]) if blanks else 0)
            if self._at < len(self._buffer):
                return self._buffer[self._at]
            if self._is_last:
                return ""
            self._more()

    def _comma(self, close: str) -> None:
        """Step behind the comma that follows an entry; the last one has none."""
        if self._next() == ",":
            self._step()
        elif self._next() != close:
            raise ValueError(f"an entry is not followed by , or {close}")

    def _expect(self, wanted: str) -> None:
        if self._next() != wanted:
            raise ValueError(f"expected {wanted}")
        self._step()

    def _step(self, characters: int = 1) -> None:
        passed = self._buffer[self._at : self._at + characters]
        self.offset += (
            len(passed) if passed.isascii() else len(passed.encode("utf-8", "surrogateescape"))
        )
        self._at += characters

    def _more(self) -> None:
        waiting = self._buffer[self._at :]
        block = self._stream.read(max(_BLOCK, len(waiting)))
        self._is_last = not block
        self._buffer = waiting + self._text.decode(block, self._is_last)
        self._at = 0


def _named(start: int, image: str, value: Any) -> Entry:
    """A key that names an image, with its caption, its captions, or an object with more."""
    row = value if isinstance(value, dict) else {"caption": value}
    return Entry(start, {"image": image} | row)


def _names_image(row: dict[str, Any] | None) -> bool:
    return row is not None and any(name in row for name in IMAGE_PATHS)
