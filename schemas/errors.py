"""Errors, classed by how far the damage reaches: a record, a unit, or the whole command."""

from __future__ import annotations


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
