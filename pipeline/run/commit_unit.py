"""Commit the rows of one unit: count, encode, make durable, create the marker."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from pipeline.run.commit_protocol import (
    ANNOTATIONS,
    QUARANTINE,
    check_counts,
    encode_rows,
    marker_path,
)
from pipeline.run.store import RunStore
from pipeline.storage.files import read_bytes
from schemas.errors import UnitError
from schemas.plan import BatchFailure, Unit, UnitCommit
from schemas.records import Annotation
from schemas.redaction import shown

EXAMPLE_CHARS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitOutcome:
    """The marker that now stands for the unit."""

    won: bool
    """False where another attempt had committed before: then its marker is `commit`."""
    commit: UnitCommit


def new_attempt() -> str:
    """A name that no other attempt has."""
    return uuid.uuid4().hex[:12]


def commit_unit(
    run: RunStore,
    unit: Unit,
    rows: Sequence[Annotation],
    *,
    rows_in: int,
    teacher_id: str,
    seconds: Mapping[str, float],
    batch_failures: Sequence[BatchFailure] = (),
    attempt: str | None = None,
) -> CommitOutcome:
    """Make the rows of a unit part of the run, all of them or none.

    Args:
        rows: One per record that was read, in the corpus's order.
        rows_in: How many records were read.
        seconds: By stage, so far; encoding and staging is added as `write`.
        batch_failures: Batches that were asked again, one pair at a time.

    Raises:
        UnitError: the number of rows is not the number of records.
        DataError: a row breaks the contract.
    """
    began = time.perf_counter()
    if len(rows) != rows_in or (unit.num_records >= 0 and rows_in != unit.num_records):
        raise UnitError(
            f"unit {unit.unit_id!r} of {unit.uri!r}: {unit.num_records} records planned, "
            f"{rows_in} read, {len(rows)} rows made; did the input change since the plan?"
        )
    attempt = attempt or new_attempt()
    good = [row for row in rows if not row.status.is_quarantined]
    bad = [row for row in rows if row.status.is_quarantined]
    files = [
        encode_rows(folder, part)
        for folder, part in ((ANNOTATIONS, good), (QUARANTINE, bad))
        if part
    ]
    examples: dict[str, str] = {}
    for row in bad:
        examples.setdefault(
            str(row.status), shown(f"{row.record_id}: {row.detail}"[:EXAMPLE_CHARS])
        )
    commit = UnitCommit(
        unit_id=unit.unit_id,
        plan=run.plan_id(),
        rows_in=rows_in,
        rows_out=sum(file.num_rows for file in files),
        status_counts=dict(sorted(Counter(str(row.status) for row in rows).items())),
        num_boxes=sum(len(row.boxes) for row in good),
        files=tuple(
            file.committed_as(run.committer.path_of(file, unit.unit_id, attempt)) for file in files
        ),
        attempt=attempt,
        teacher_id=teacher_id,
        seconds={},
        finished_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        examples=examples,
        batch_failures=tuple(
            replace(failure, first=failure.first[:EXAMPLE_CHARS]) for failure in batch_failures
        ),
    )
    check_counts(unit, commit)
    spent = dict(seconds) | {"write": time.perf_counter() - began}
    commit = replace(commit, seconds={stage: round(value, 4) for stage, value in spent.items()})
    if run.committer.commit(commit, files):
        return CommitOutcome(won=True, commit=commit)
    url = run.url(marker_path(unit.unit_id))
    winner = UnitCommit.from_json(read_bytes(url).decode(), where=url)
    return CommitOutcome(won=False, commit=winner)
