"""JSON of large arrays, read one element at a time: memory does not grow with the file.

`json.loads` of a gold file takes some twenty times its size. Here the file is decoded in blocks,
and the decoder of the standard library takes one element after the other out of them.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pipeline.gold.opened import READ_ERRORS, opened
from schemas.errors import DataError, reason_of


class NotAnObject(DataError):
    """The file is JSON, and its value is not an object."""


class NotAList(DataError):
    """The file is JSON, and its value is not an array."""

    def __init__(self, path: str, value: Any) -> None:
        super().__init__(f"{path} must hold a JSON array, got {value!r:.100}")
        self.value = value


_BLOCK = 1 << 20
_BLANKS = " \t\n\r"
_PAST_NUMBER = 64
"""A number may go on in the next block; so many characters behind a value prove that it ended."""


def stream_object(path: str) -> Iterator[tuple[str, int | None, Any]]:
    """(key, number, element) for each element of the arrays of a file's top-level object, and
    (key, None, value) for each other value and for each array before its first element ([]).

    Raises:
        DataError: the file cannot be read or is not JSON.
        NotAnObject: its value is not an object.
    """
    with _explained(path), opened(path) as stream:
        yield from _Reader(path, stream).object()


def stream_list(path: str) -> Iterator[Any]:
    """The elements of a file's top-level array.

    Raises:
        DataError: the file cannot be read or is not JSON.
        NotAList: its value is not an array; `value` is what it is.
    """
    with _explained(path), opened(path) as stream:
        yield from _Reader(path, stream).list()


@contextmanager
def _explained(path: str) -> Iterator[None]:
    try:
        yield
    except READ_ERRORS as error:
        raise DataError(f"{path!r} cannot be read: {reason_of(error)}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path!r} is not JSON: {error}") from error


class _Reader:
    def __init__(self, path: str, stream: Any) -> None:
        self._path = path
        self._stream = stream
        self._decode = json.JSONDecoder().raw_decode
        head = stream.read(_BLOCK)
        # As json.loads does it: UTF-8, 16 or 32, with or without a byte order mark.
        self._text = codecs.getincrementaldecoder(json.detect_encoding(head))()
        self._is_last = len(head) < _BLOCK
        self._buffer = self._text.decode(head, self._is_last)
        self._at = 0
        self._read = 0
        """Characters that were dropped from the buffer's front."""

    def object(self) -> Iterator[tuple[str, int | None, Any]]:
        if self._next_char() != "{":
            self._value()
            raise NotAnObject(f"gold file {self._path!r} must hold a JSON object")
        self._at += 1
        if self._next_char() == "}":
            self._at += 1
            self._end()
            return
        while True:
            key = self._value()
            if not isinstance(key, str):
                raise ValueError(
                    f"a key must be a string, got {key!r} at character {self._place()}"
                )
            self._expect(":")
            if self._next_char() == "[":
                yield key, None, []
                for number, element in enumerate(self._array()):
                    yield key, number, element
            else:
                yield key, None, self._value()
            if self._expect(",}") == "}":
                self._end()
                return

    def list(self) -> Iterator[Any]:
        if self._next_char() != "[":
            raise NotAList(self._path, self._value())
        yield from self._array()
        self._end()

    def _array(self) -> Iterator[Any]:
        self._expect("[")
        if self._next_char() == "]":
            self._at += 1
            return
        while True:
            yield self._value()
            if self._expect(",]") == "]":
                return

    def _value(self) -> Any:
        while True:
            self._next_char()
            try:
                value, end = self._decode(self._buffer, self._at)
            except json.JSONDecodeError as error:
                if self._is_last:
                    place = self._read + error.pos
                    raise ValueError(f"{error.msg} at character {place:,}") from error
                self._more()
                continue
            if end + _PAST_NUMBER > len(self._buffer) and not self._is_last:
                self._more()
                continue
            self._at = end
            return value

    def _next_char(self) -> str:
        """The next character that is not a blank; it stays where it is. Empty at the end."""
        while True:
            while self._at < len(self._buffer) and self._buffer[self._at] in _BLANKS:
                self._at += 1
            if self._at < len(self._buffer):
                return self._buffer[self._at]
            if self._is_last:
                return ""
            self._more()

    def _expect(self, allowed: str) -> str:
        found = self._next_char()
        if not found or found not in allowed:
            raise ValueError(
                f"expected {' or '.join(allowed)}, got {found or 'the end'!r} at character "
                f"{self._place():,}"
            )
        self._at += 1
        return found

    def _end(self) -> None:
        if self._next_char():
            raise ValueError(f"extra data at character {self._place():,}")

    def _place(self) -> int:
        return self._read + self._at

    def _more(self) -> None:
        # At least as much as is waiting: an element of many blocks is not parsed once a block.
        waiting = self._buffer[self._at :]
        block = self._stream.read(max(_BLOCK, len(waiting)))
        self._is_last = not block
        self._read += self._at
        self._buffer = waiting + self._text.decode(block, self._is_last)
        self._at = 0
