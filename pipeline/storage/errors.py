"""What can go wrong between us and a store, as errors that say what to do.

Each is also the built-in error that file code expects, so that `except FileNotFoundError` works.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator

from pipeline.storage.hub_files import is_network_failure
from schemas.errors import (
    ConfigError,
    GlipforgeError,
    RetryableError,
    UnitError,
    os_sentence,
    reason_of,
)


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


WRITES_NOTHING = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""What a disk says that takes nothing more, now or ever."""


class StorageUnavailable(RetryableError, OSError):
    """The store still failed (5xx, time-out, connection lost) after the retries."""

    def __str__(self) -> str:
        return str(self.args[0])


_ALLOWED = (
    "a run or a corpus is a path, or a URL such as s3://bucket/key, gs://bucket/key or "
    "hf://datasets/owner/name"
)
_OURS = (TypeError, AttributeError, NameError, AssertionError, MemoryError)
"""Faults of a program: a sentence about an address would hide them."""


def _is_elsewhere(url: str) -> bool:
    """True for an address that a library of fsspec asks; what it raises is its own affair."""
    return "://" in url and not url.startswith(("file://", "s3://", "s3a://", "zip://"))


@contextlib.contextmanager
def explained(url: str) -> Iterator[None]:
    """What a file system or a store raises about a URL, as one of the errors above."""
    try:
        yield
    except GlipforgeError:
        raise
    except FileNotFoundError as error:
        text = str(error) if error.errno is None else ""
        # Of a member of an archive fsspec says only the name.
        raise MissingFile(f"{url} does not exist" if text in url else text) from error
    except PermissionError as error:
        raise StorageDenied(os_sentence(error, url)) from error
    except OSError as error:
        if error.errno in WRITES_NOTHING:
            raise StorageFull(os_sentence(error, url)) from error
        if _is_elsewhere(url):
            raise StorageUnavailable(_unreached(url, error)) from error
        raise
    except Exception as error:
        if is_network_failure(error):
            raise StorageUnavailable(
                f"{url}: the hub does not answer: {error}. Check the network, or HF_ENDPOINT"
            ) from error
        if not _is_elsewhere(url) or isinstance(error, _OURS):
            raise
        if isinstance(error, ValueError):
            raise ConfigError(f"{url} is not an address: {error}; {_ALLOWED}") from error
        raise StorageUnavailable(_unreached(url, error)) from error


def _unreached(url: str, error: Exception) -> str:
    reason = reason_of(error).removeprefix(f"[Errno {getattr(error, 'errno', None)}] ")
    return f"{url} cannot be reached: {reason}. Check the address and the network; {_ALLOWED}"
