"""Files as they come: packed with gzip or not, in UTF-8 or UTF-16, with or without their mark."""

from __future__ import annotations

import codecs
import gzip
import io
import xml.etree.ElementTree as ElementTree
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from pipeline.storage.inflation import most_unpacked, refusal
from pipeline.storage.local_place import refuse_special
from schemas.errors import DataError, reason_of

READ_ERRORS = (OSError, EOFError, zlib.error)
"""What reading a file may raise that is gone, or is damaged gzip data."""
_BLOCK = 1 << 16
_GZIP = b"\x1f\x8b"
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@contextmanager
def opened(path: str | Path) -> Iterator[IO[bytes]]:
    """The bytes of a file, unpacked where it is gzip, whatever its name."""
    refuse_special(path)
    with open(path, "rb") as raw:
        if raw.peek(2)[:2] == _GZIP:
            with gzip.GzipFile(fileobj=raw) as packed:
                yield io.BufferedReader(_Unpacked(packed, str(path)), _BLOCK)
        else:
            yield raw


class _Unpacked(io.RawIOBase):
    """What a gzip file holds, up to a limit that no honest one comes near."""

    def __init__(self, packed: gzip.GzipFile, path: str) -> None:
        self._packed, self._path = packed, path
        self._limit = most_unpacked(Path(path).stat().st_size)
        self._read = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._packed.read(len(buffer))
        self._read += len(data)
        if self._read > self._limit:
            advice = "If it is right, unpack it with gunzip and give the plain file"
            raise refusal(f"gold file {self._path!r}", self._limit, advice)
        buffer[: len(data)] = data
        return len(data)


@contextmanager
def opened_text(path: str | Path) -> Iterator[IO[str]]:
    """The text of a file; line ends stay as they are."""
    with opened(path) as stream:
        coding = "utf-16" if is_utf16(stream) else "utf-8-sig"
        with io.TextIOWrapper(stream, encoding=coding, newline="\n") as text:
            yield text


@contextmanager
def opened_lines(path: str | Path) -> Iterator[Iterator[bytes | str]]:
    """The lines of a file, not decoded where they are UTF-8: what is wrong is then in one line."""
    with opened(path) as stream:
        if is_utf16(stream):
            with io.TextIOWrapper(stream, encoding="utf-16", newline="\n") as text:
                yield iter(text)
        else:
            yield (
                line if number else line.removeprefix(codecs.BOM_UTF8)
                for number, line in enumerate(stream)
            )


def is_utf16(stream: IO[bytes]) -> bool:
    """True where a stream of `opened` begins with a byte order mark of UTF-16."""
    head: bytes = stream.peek(2)  # type: ignore[attr-defined]
    return head[:2] in _UTF16


def bare_suffix(path: str | Path) -> str:
    """The ending of a file's name that tells what is in it: `.json` of `a.JSON.gz`."""
    name = Path(path)
    return Path(name.stem if name.suffix.lower() == ".gz" else name).suffix.lower()


def read_xml(path: str | Path) -> ElementTree.Element:
    """The root of an XML file, in the encoding that it declares; names without their namespace.

    Expat reads no other file for an entity, and refuses entities that grow a file beyond measure.

    Raises:
        DataError: the file cannot be read or is not XML.
    """
    try:
        with opened(path) as stream:
            root = ElementTree.fromstring(stream.read())
    except READ_ERRORS as error:
        raise DataError(f"gold file {str(path)!r} cannot be read: {reason_of(error)}") from error
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise DataError(f"gold file {str(path)!r} is not XML: {error}") from error
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root
