"""Decisions of people about boxes: append-only files beside the annotations, the latest wins."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from pipeline.storage.files import read_bytes
from pipeline.storage.folders import list_files
from pipeline.storage.parquet_bytes import table_of
from schemas.damage import whole
from schemas.errors import DataError
from schemas.fingerprint import fingerprint, sha256_bytes
from schemas.records import Decision
from schemas.tables import decisions_to_table, table_to_decisions

if TYPE_CHECKING:
    from pipeline.run.store import RunStore

FOLDER = "decisions"
# Fixed width, so that the order of the texts is the order of the times.
_DECIDED_AT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|\+00:00)")


def append_decisions(run: RunStore, rows: Sequence[Decision]) -> str | None:
    """Add one file with these decisions; returns its name, or None where there are none.

    The name comes from the content: the same rows again change nothing.

    Raises:
        DataError: a row breaks the contract.
    """
    if not rows:
        return None
    for row in rows:
        _check_time(row, where=f"decision {row.decision_id!r}")
    buffer = io.BytesIO()
    pq.write_table(decisions_to_table(rows), buffer, compression="zstd")
    data = buffer.getvalue()
    stamp = re.sub(r"\D", "", min(row.decided_at for row in rows))[:14]
    name = f"{stamp}-{sha256_bytes(data)[:16]}.parquet"
    run.write(data, FOLDER, name)
    return name


def load_decisions(run: RunStore) -> list[Decision]:
    """Every decision of a run, oldest first; one that stands in two files counts once.

    Raises:
        DataError: a file breaks the contract, or two decisions share an id and differ.
    """
    by_id: dict[str, Decision] = {}
    for name in list_files(run.url(FOLDER), suffix=".parquet"):
        where = run.url(FOLDER, name)
        data = read_bytes(where)
        way_out = "put it back from a copy, or move it away: its decisions are then lost"
        with whole(where, way_out):
            try:
                rows = table_to_decisions(table_of(data))
            except DataError as error:
                raise DataError(f"{FOLDER}/{name}: {error}") from error
        for row in rows:
            _check_time(row, where=f"{FOLDER}/{name}: decision {row.decision_id!r}")
            if by_id.setdefault(row.decision_id, row) != row:
                raise DataError(
                    f"{FOLDER}/{name}: decision {row.decision_id!r} stands in two files with "
                    "different content"
                )
    return in_order(by_id.values())


def in_order(decisions: Iterable[Decision]) -> list[Decision]:
    """Oldest first; at equal times by id."""
    return sorted(decisions, key=lambda decision: (decision.decided_at, decision.decision_id))


def decisions_id(decisions: Sequence[Decision]) -> str:
    """Fingerprint of some decisions; empty where there are none."""
    if not decisions:
        return ""
    return fingerprint([decision.decision_id for decision in in_order(decisions)])


def decisions_by_record(decisions: Iterable[Decision]) -> dict[str, list[Decision]]:
    """record_id -> its decisions, oldest first."""
    grouped: dict[str, list[Decision]] = {}
    for decision in in_order(decisions):
        grouped.setdefault(decision.record_id, []).append(decision)
    return grouped


def _check_time(row: Decision, *, where: str) -> None:
    if _DECIDED_AT.fullmatch(row.decided_at) is None:
        raise DataError(
            f"{where}: decided_at must be UTC like 2026-01-01T00:00:00.000000Z, "
            f"got {row.decided_at!r}"
        )
