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
            f"{os.fspath(folder)} leads out of the run {os.fspath(root)}, to "
            f"{os.path.realpath(folder)}; nothing there is written or deleted, since a run may "
            "come from others. If the link is yours, for room on another disk: move the whole run "
            "there and put a link in its place, or mount that disk at the folder. Else put the "
            "folder itself there, and the same command goes on"
        )


def open_lock(path: str) -> IO[bytes]:
    """A lock's file, made where there is none; to be read, and appended to.

    Whoever writes into it sees to `has_other_names` first.

    Raises:
        DataError: it is a link to a file that may be elsewhere.
        ConfigError: it is a pipe or a device.
    """
    refuse_special(path)
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.fdopen(os.open(path, flags, 0o666), "a+b")
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise DataError(
            f"{path} is a symbolic link to a file that may belong to somebody else; nothing is "
            "written into it. Delete it if nobody is at work there, and the same command goes on"
        ) from error


def has_other_names(stream: IO[bytes]) -> bool:
    """True for a file that a hard link, as of `cp -al`, shows elsewhere too."""
    return os.fstat(stream.fileno()).st_nlink > 1


def is_still_at(stream: IO[bytes], path: str) -> bool:
    """True where an open file is the one that has this name now."""
    try:
        return os.path.samestat(os.fstat(stream.fileno()), os.stat(path))
    except FileNotFoundError:
        return False
