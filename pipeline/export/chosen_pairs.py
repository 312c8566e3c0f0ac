"""Exporting some pairs of a run: those whose record ids stand in a file."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from pipeline.storage.files import read_bytes
from schemas.errors import ConfigError
from schemas.records import CuratedRecord


def read_pairs(path: str) -> frozenset[str]:
    """The record ids in a text file, one a line.

    Raises:
        ConfigError: it names none.
    """
    found = frozenset(line for line in read_bytes(path).decode().splitlines() if line.strip())
    if not found:
        raise ConfigError(f"pairs {path!r} names no record id; it must hold one a line")
    return found


def only_pairs(
    records: Iterable[CuratedRecord], pairs: Collection[str] | None
) -> Iterator[CuratedRecord]:
    """The records whose ids are among these; None: all."""
    return (record for record in records if pairs is None or record.record_id in pairs)
