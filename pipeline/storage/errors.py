"""What can go wrong between us and a store, as errors that say what to do.

Each is also the built-in error that file code expects, so that `except FileNotFoundError` works.
"""

from __future__ import annotations

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


class StorageUnavailable(RetryableError, OSError):
    """The store still failed (5xx, time-out, connection lost) after the retries."""

    def __str__(self) -> str:
        return str(self.args[0])
