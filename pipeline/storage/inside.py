"""A folder that came from others may hold links: nothing is written or deleted through one.

Files are replaced whole (`schemas.atomic`): a link in place of a file is replaced itself, so that
only links in place of folders lead elsewhere, and files that are opened for writing: the locks.
"""

from __future__ import annotations

import errno
import os
from typing import IO

from pipeline.storage.local_place import refuse_special
from schemas.errors import DataError


def is_inside(path: str | os.PathLike[str], root: str | os.PathLike[str]) -> bool:
    """True where a path, its links followed, is `root` or below it."""
    real, top = os.path.realpath(path), os.path.realpath(root)
    return real == top or real.startswith(top.rstrip(os.sep) + os.sep)


def require_inside(folder: str | os.PathLike[str], root: str | os.PathLike[str]) -> None:
    """Pass where a folder, which need not exist, lies in the run `root`.

    Raises:
        DataError: a link leads out of it.
    """
    if not is_inside(folder, root):
        raise DataError(
            f"{os.fspath(folder)} leads out of the run {os.fspath(root)}; nothing there is written "
            "or deleted. Put the folder itself there, and the same command goes on"
        )


def open_lock(path: str, *, written: bool) -> IO[bytes]:
    """A lock's file, made where there is none; to be read, and appended to.

    Args:
        path: The file.
        written: The holder writes into it: then the file may have no other name either.

    Raises:
        DataError: it is a link, or another name of a file that may be elsewhere.
        ConfigError: it is a pipe or a device.
    """
    refuse_special(path)
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        stream = os.fdopen(os.open(path, flags, 0o666), "a+b")
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise DataError(_refusal(path, "symbolic")) from error
    if written and os.fstat(stream.fileno()).st_nlink > 1:
        stream.close()
        raise DataError(_refusal(path, "hard"))
    return stream


def _refusal(path: str, kind: str) -> str:
    return (
        f"{path} is a {kind} link to a file that may belong to somebody else; nothing is written "
        "into it. Delete it if nobody is at work there, and the same command goes on"
    )
