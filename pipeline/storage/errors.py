"""What can go wrong between us and a store, as errors that say what to do.

Each is also the built-in error that file code expects, so that `except FileNotFoundError` works.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator

from pipeline.storage.hub_files import is_network_failure
from schemas.errors import ConfigError, RetryableError, UnitError, os_sentence


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
