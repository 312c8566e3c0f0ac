"""One row of a file of rows, and the file itself, packed or not."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from pipeline.storage.files import is_local, open_file, read_bytes
from pipeline.storage.inflation import BoundedGzip

MAX_ROW_BYTES = 16 * 2**20
NAMES_IMAGE = re.compile(
    r"(?:https?://\S+|.*\.(?:jpe?g|png|webp|gif|bmp|tiff?|avif|heic))(?:#\d+)?", re.I
)
"""A text that is the name or address of an image."""
UTF16 = (b"\xff\xfe", b"\xfe\xff")
"""What UTF-16 begins with, as PowerShell and Excel write it."""
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class Entry:
    """A row, or why there is none at this place.

    start: Byte at which it begins.
    row: Its fields by name; None where it cannot be read.
    problem: The reason then, for people.
    """

    start: int
    row: dict[str, Any] | None
    problem: str = ""


def is_gzip(uri: str) -> bool:
    """True for a compressed file of rows, whatever its name."""
    return uri.endswith(".gz") or read_bytes(uri, 0, 2) == _GZIP


@contextmanager
def open_rows(uri: str) -> Iterator[BinaryIO]:
    """A file of rows, unpacked."""
    with open_file(uri) as found:
        # Streams of fsspec know no limit for a line.
        raw = found if is_local(uri) else cast("BinaryIO", io.BufferedReader(cast("Any", found)))
        if is_gzip(uri):
            with BoundedGzip(raw, uri) as unpacked:
                yield cast("BinaryIO", unpacked)
        else:
            yield raw


def past_line(stream: BinaryIO, line: bytes) -> int:
    """Read on to the end of the line that `line` begins; the number of bytes."""
    skipped = 0
    while line and not line.endswith(b"\n"):
        line = stream.readline(MAX_ROW_BYTES)
        skipped += len(line)
    return skipped


def text_of(data: bytes) -> str:
    """UTF-8; other bytes become marks, so that only the field that holds them suffers."""
    return data.decode("utf-8", "surrogateescape")
