"""Rows that failed, done again: the good rows of their unit stay as they are.

What is wrong with a picture or a server may be mended after a run. The unit's rows that failed are
labelled again, and all of its rows are committed anew; the old reasons are kept beside the run's
markers, and in the row where it fails again. A kill in between costs the unit: it is then labelled
whole.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from pipeline.labelling.annotate_unit import UnitRows
from pipeline.run.commit_unit import CommitOutcome, commit_unit
from pipeline.run.store import SUCCESS, RunStore
from pipeline.storage.files import remove
from schemas.errors import UnitError
from schemas.plan import Unit, UnitCommit
from schemas.records import Annotation, CorpusRecord
from schemas.redaction import shown

RETRIES = "_retries"
"""Folder of the old reasons: a JSON file for each commit that was replaced."""
BEFORE = "; before: "


def units_to_retry(store: RunStore, statuses: Collection[str]) -> list[Unit]:
    """Committed units with rows of these statuses; where there are any, the run is not complete."""
    if not statuses:
        return []
    commits = store.commits()
    units = [
        unit
        for unit in store.plan().units
        if (commit := commits.get(unit.unit_id)) and set(statuses) & commit.status_counts.keys()
    ]
    if units:
        remove(store.url(SUCCESS))
    return units


def label_again(
    store: RunStore,
    unit: Unit,
    statuses: Collection[str],
    read: Callable[[], Iterable[CorpusRecord]],
    annotate: Callable[[Iterable[CorpusRecord]], UnitRows],
) -> CommitOutcome | None:
    """Do the failed rows of a committed unit again; None where it is not committed.

    Args:
        store: Of the run, without markers that it remembers.
        unit: Which.
        statuses: Rows of these are done again.
        read: The unit's records.
        annotate: Makes a row of each record.

    Raises:
        UnitError: the corpus has other records than the rows.
    """
    began = time.perf_counter()
    commit = store.read_markers([unit.unit_id]).get(unit.unit_id)
    if commit is None:
        return None
    old = {row.record_id: row for file in commit.files for row in store.read_rows(commit, file)}
    failed = {row.record_id: row for row in old.values() if str(row.status) in statuses}
    order: list[str] = []

    def to_do() -> Iterable[CorpusRecord]:
        for record in read():
            order.append(record.record_id)
            if record.record_id in failed:
                yield record

    found = annotate(to_do())
    if len(order) != commit.rows_out or set(order) != old.keys():
        raise UnitError(
            f"unit {unit.unit_id!r} of {unit.uri!r} has {len(order):,} records now and was "
            f"labelled with {commit.rows_out:,}, or with others: it cannot be done again in part"
        )
    new = {row.record_id: _with_reason(row, failed[row.record_id]) for row in found.rows}
    changed = [row for name, row in failed.items() if new[name] != row]
    if not changed:
        return CommitOutcome(won=False, commit=commit)
    _keep_reasons(store, commit, changed, new)
    store.withdraw([commit])
    return commit_unit(
        store,
        unit,
        [new.get(name, old[name]) for name in order],
        rows_in=len(order),
        teacher_id=commit.teacher_id,
        seconds=found.seconds | {"total": time.perf_counter() - began},
        batch_failures=found.batch_failures,
    )


def _with_reason(row: Annotation, before: Annotation) -> Annotation:
    """A row that fails again says also why it failed first; the same reason is said once."""
    first_detail, _, earlier = before.detail.partition(BEFORE)
    if not row.status.is_quarantined:
        return row
    if (row.status, row.detail) == (before.status, first_detail):
        return before
    first = earlier or f"{before.status}, {first_detail}"
    return replace(row, detail=f"{row.detail}{BEFORE}{first}")


def _keep_reasons(
    store: RunStore, commit: UnitCommit, failed: Sequence[Annotation], new: dict[str, Annotation]
) -> None:
    content = {
        "unit_id": commit.unit_id,
        "attempt": commit.attempt,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "rows": [
            {
                "record_id": row.record_id,
                "status": str(row.status),
                "detail": shown(row.detail),
                "became": str(new[row.record_id].status),
            }
            for row in failed
        ],
    }
    store.write_text_atomic(
        json.dumps(content, indent=1), RETRIES, f"{commit.unit_id}.{commit.attempt}.json"
    )
