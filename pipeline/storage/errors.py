"""What can go wrong between us and a store, as errors that say what to do.

Each is also the built-in error that file code expects, so that `except FileNotFoundError` works.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator

from pipeline.storage.hub_files import is_network_failure
from schemas.errors import ConfigError, RetryableError, UnitError


class MissingFile(UnitError, FileNotFoundError):
    """There is no file, folder or bucket of that name."""

    def __str__(self) -> str:
        return str(self.args[0])


class StorageDenied(ConfigError, PermissionError):
    """The store refuses: the message names what to check."""

    def __str__(self) -> str:
        return str(self.args[0])


class StorageKeysRefused(StorageDenied):
    """The store does not take the keys at all: every further request would fail too."""


class StorageFull(ConfigError, OSError):
    """Nothing more can be written, so that every further unit would be labelled in vain."""

    def __str__(self) -> str:
        return str(self.args[0])


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
WRITES_NOTHING = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""What a disk says that takes nothing more, now or ever."""


def os_sentence(error: OSError, place: str = "") -> str:
    """What an error of the operating system means and what to do; the one place that says so."""
    names = [str(name) for name in (error.filename, error.filename2) if name is not None]
    where = place or " -> ".join(names)
    said = _SENTENCES.get(error.errno or 0)
    if said is None:
        said = os.strerror(error.errno) if error.errno else str(error) or type(error).__name__
    return f"{where}: {said}" if where else said


class StorageUnavailable(RetryableError, OSError):
    """The store still failed (5xx, time-out, connection lost) after the retries."""

    def __str__(self) -> str:
        return str(self.args[0])


@contextlib.contextmanager
def explained(url: str) -> Iterator[None]:
    """What a file system or a store raises about a URL, as one of the errors above."""
    try:
        yield
    except (MissingFile, StorageDenied, StorageUnavailable):
        raise
    except FileNotFoundError as error:
        text = str(error) if error.errno is None and error.args else f"{url} does not exist"
        raise MissingFile(text) from error
    except PermissionError as error:
        raise StorageDenied(os_sentence(error, url)) from error
    except OSError as error:
        if error.errno in WRITES_NOTHING:
            raise StorageFull(os_sentence(error, url)) from error
        raise
    except Exception as error:
        if is_network_failure(error):
            raise StorageUnavailable(f"{url}: the hub does not answer: {error}") from error
        raise
