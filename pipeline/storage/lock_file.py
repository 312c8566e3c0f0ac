"""The kernel's lock of an open file: it ends with its process, however that ends."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

_log = logging.getLogger(__name__)
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP)


def try_lock(stream: IO[Any], *, shared: bool = False) -> bool:
    """Take the lock if it is free, and change one of ours from shared to exclusive or back.

    Args:
        stream: An open file; closing it gives the lock back.
        shared: Let others hold it too, who ask for the same.

    Returns:
        False where another open file holds it. True on a file system without locks, with a
        warning: there one process is all that is safe.
    """
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(stream, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        _log.warning("%s: this file system has no locks; start one process only", stream.name)
    return True


def wait_shared(stream: IO[Any]) -> None:
    """Take the lock together with all who share it; waits for one who has it alone.

    Nothing on a file system without locks.
    """
    try:
        fcntl.flock(stream, fcntl.LOCK_SH)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise


def wait_alone(stream: IO[Any] | int) -> None:
    """Take the lock of an open file or folder alone; waits for all others.

    Nothing on a file system without locks.
    """
    try:
        fcntl.flock(stream, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in (*_NO_LOCKS, errno.EBADF):  # EBADF: a folder on a network mount
            raise


@contextmanager
def alone_in(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Take turns with all who do this in the same folder; the folder itself is locked."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        wait_alone(descriptor)
        yield
    finally:
        os.close(descriptor)


def unlock(stream: IO[Any]) -> None:
    """Give the lock back and keep the file open."""
    fcntl.flock(stream, fcntl.LOCK_UN)
