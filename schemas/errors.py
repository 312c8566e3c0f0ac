"""Errors, classed by how far the damage reaches: a record, a unit, or the whole command.

And what an error of the operating system means, in words.
"""

from __future__ import annotations

import errno
import gzip
import os


class GlipforgeError(Exception):
    """Anything that this product reports in a sentence instead of a traceback (exit code 1)."""


class RecordError(GlipforgeError):
    """One record cannot be used. It becomes a row with this status and detail; the run goes on."""

    def __init__(self, status: str, detail: str) -> None:
        super().__init__(f"{status}: {detail}")
        self.status = status
        self.detail = detail

    def __reduce__(self) -> tuple[type[RecordError], tuple[str, str]]:
        return (RecordError, (self.status, self.detail))


class UnitError(GlipforgeError):
    """One unit of work failed and stays uncommitted; the others go on; the command exits 1."""


class RetryableError(UnitError):
    """Infrastructure failed (worker lost, storage 5xx): the same call may succeed later."""


class DataError(GlipforgeError):
    """A file or table of ours breaks the data contract; names the row, the field and the value."""


class ConfigError(GlipforgeError):
    """Wrong usage or configuration: stop before the first unit (exit code 2)."""


class FingerprintMismatch(ConfigError):
    """The output directory holds work done under another configuration."""


class MissingDependency(ConfigError):
    """A package, program, file or weight is absent; the message says how to get it."""


_FULL = "nothing more can be written there: {what}. Make room and repeat the command, it goes on"
_SENTENCES = {
    errno.ENOSPC: _FULL.format(what="the disk is full, or has no inodes left (df -h, df -i)"),
    errno.EDQUOT: _FULL.format(what="the quota is used up"),
    errno.EFBIG: "the file system takes no file of this size",
    errno.EROFS: "the file system is read-only; give another place, or mount it for writing",
    errno.EACCES: "permission denied: check the owner and mode of the file and its folders",
    errno.EPERM: "not permitted: check the owner, mode and attributes of the file and its folders",
    errno.ENAMETOOLONG: "the name is too long for this file system; give a shorter one",
    errno.EMFILE: "too many open files in this process; raise `ulimit -n`",
    errno.ENFILE: "too many open files on this machine",
    errno.EIO: "the disk or the network mount fails (input/output error); check it",
    errno.ESTALE: "the network mount has lost the file; mount it again",
    errno.ENOTCONN: "the mount is not connected; mount it again",
    errno.ENOTDIR: "a part of the path is a file, not a folder",
    errno.EISDIR: "it is a folder, not a file",
    errno.ELOOP: "its symbolic links go round in a circle",
    errno.ENOENT: "does not exist",
    errno.EEXIST: "exists already",
    errno.EXDEV: "the two places are on different file systems",
    errno.ENOMEM: "there is not enough memory",
    errno.ENOTEMPTY: "the folder is not empty",
    errno.EINVAL: "the file system does not take this (invalid argument)",
    errno.EOPNOTSUPP: "the file system cannot do this",
    errno.ENOSYS: "the file system cannot do this",
    errno.ENODEV: "the device is gone",
}


def os_sentence(error: OSError, place: str = "") -> str:
    """What an error of the operating system means and what to do; the one place that says so."""
    names = [
        os.fsdecode(name) if isinstance(name, bytes) else str(name)
        for name in (error.filename, error.filename2)
        if name is not None
    ]
    where = place or " -> ".join(names)
    return f"{where}: {_said(error)}" if where else _said(error)


def reason_of(error: BaseException) -> str:
    """Why, for a message that names the place itself: the system's errors in words, else its own.

    The built-in text of an `OSError`, "[Errno 13] Permission denied: 'x'", is for programmers.
    """
    if isinstance(error, gzip.BadGzipFile):
        return "it is not whole, or not gzip data"  # its own words quote bytes of the file
    said = _said(error) if isinstance(error, OSError) else str(error).strip()
    return said or type(error).__name__


def failure_of(error: BaseException) -> str:
    """Why a piece of work failed, for a list of failures: the kind of error and its words; the
    system's errors in ours."""
    if isinstance(error, OSError) and not isinstance(error, GlipforgeError):
        return os_sentence(error)
    return f"{type(error).__name__}: {error}"


def _said(error: OSError) -> str:
    number = None if type(error).__module__ == "ssl" else error.errno  # which counts otherwise
    if number in _SENTENCES:
        return _SENTENCES[number]
    if number is not None and number in errno.errorcode:
        return os.strerror(number)
    return str(error) or type(error).__name__
