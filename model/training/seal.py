"""A digest inside a zip file, so that a flipped byte is an error and not other weights.

torch's files are zip archives, and torch reads past their checksums. The SHA-256 of the archive
stands in its comment: the last field of the format, which every reader skips.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import BinaryIO

_SIGN = b"sha256:"
_COMMENT_BYTES = len(_SIGN) + 64
_NO_COMMENT = b"\0\0"  # the length of the comment, which ends an archive that has none
_CHUNK = 1 << 20


def seal(stream: BinaryIO) -> None:
    """Append the digest of the archive that the stream holds; it can be read and written."""
    size = stream.seek(0, os.SEEK_END)
    comment = _SIGN + _digest(stream, size - len(_NO_COMMENT)).encode()
    stream.seek(size - len(_NO_COMMENT))
    stream.write(len(comment).to_bytes(2, "little") + comment)


def check_seal(path: Path) -> bool:
    """Compare a file with its digest; False if it has none.

    Raises:
        ValueError: the file is not what was written.
    """
    with path.open("rb") as stream:
        size = stream.seek(0, os.SEEK_END) - _COMMENT_BYTES
        if size < len(_NO_COMMENT):
            return False
        stream.seek(size)
        comment = stream.read()
        if not comment.startswith(_SIGN):
            return False
        if _digest(stream, size - len(_NO_COMMENT)) != comment[len(_SIGN) :].decode("latin-1"):
            raise ValueError("its bytes are not the ones that were written: the digest differs")
    return True


def _digest(stream: BinaryIO, size: int) -> str:
    found = hashlib.sha256()
    stream.seek(0)
    while size:
        block = stream.read(min(size, _CHUNK))
        found.update(block)
        size -= len(block)
    found.update(_NO_COMMENT)
    return found.hexdigest()
