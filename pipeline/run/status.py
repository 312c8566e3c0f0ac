"""How far a run is, how fast and what failed: from its own files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pipeline.run.captioner import captioner_of
from pipeline.run.lock import STALE_S, lock_holder
from pipeline.run.lock_holder import LockHolder
from pipeline.run.store import RunStore
from pipeline.run.totals import RunTotals
from schemas.plan import BatchFailure, UnitCommit

NUM_SHOWN = 3
"""Slowest and next units that are named."""
RECENT = 20
"""Commits that the present rate is taken from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitTime:
    """What a unit took, from its first record to its file."""

    unit: str
    rows: int
    seconds: float

    @property
    def per_row(self) -> float:
        """Seconds for each row."""
        return self.seconds / max(1, self.rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStatus:
    """What `glipforge status RUN --json` prints."""

    run: str
    corpus: str
    format: str
    teachers: tuple[str, ...]
    captioner: str
    """Who makes captions; empty where the run is a labelling."""
    complete: bool
    driver: LockHolder | None
    is_driven: bool
    """The driver is alive, as far as can be seen."""
    units: int
    units_done: int
    rows: int
    boxes: int
    statuses: dict[str, int]
    """Status -> rows, the most frequent first."""
    examples: dict[str, str]
    """Quarantine status -> one `<record_id>: <detail>`."""
    batch_failures: tuple[BatchFailure, ...]
    """Batches that were asked again, one pair at a time, by stage."""
    seconds: dict[str, float]
    """Stage -> seconds over all workers, the longest first."""
    rows_per_worker_second: float | None
    rows_per_second: float | None
    """Of the last commits."""
    seconds_left: float | None
    last_commit: str | None
    slowest_units: tuple[UnitTime, ...]
    pending_units: tuple[str, ...]


def read_status(run: RunStore) -> RunStatus:
    """The state of a labelling run.

    Raises:
        ConfigError: this is not a labelling run.
    """
    plan, commits = run.plan(), list(run.commits().values())
    total = RunTotals.of(commits)
    times = [UnitTime(unit=c.unit_id, rows=c.rows_out, seconds=_spent(c)) for c in commits]
    spent = sum(time.seconds for time in times)
    holder = lock_holder(run)
    is_driven = holder is not None and holder.silent_s <= STALE_S
    rate = _recent_rate(commits)
    left = len(plan.units) - len(commits)
    return RunStatus(
        run=run.uri,
        corpus=plan.corpus,
        format=plan.corpus_format,
        captioner=captioner_of(plan),
        teachers=tuple(sorted({commit.teacher_id for commit in commits})),
        complete=run.is_complete(),
        driver=holder,
        is_driven=is_driven,
        units=len(plan.units),
        units_done=total.units,
        rows=total.rows,
        boxes=total.boxes,
        statuses=dict(total.statuses.most_common()),
        examples=total.examples,
        batch_failures=tuple(total.batch_failures.values()),
        seconds={
            stage: round(value, 2)
            for stage, value in sorted(total.seconds.items(), key=lambda entry: -entry[1])
        },
        rows_per_worker_second=total.rows / spent if spent else None,
        rows_per_second=rate,
        seconds_left=(
            left * total.rows / len(commits) / rate
            if is_driven and rate and commits and left
            else None
        ),
        last_commit=max((commit.finished_at for commit in commits), default=None),
        slowest_units=tuple(sorted(times, key=lambda time: -time.per_row)[:NUM_SHOWN]),
        pending_units=tuple(unit.unit_id for unit in run.pending()[:NUM_SHOWN]),
    )


def _spent(commit: UnitCommit) -> float:
    # `total` ends before the rows are written.
    return round(commit.seconds.get("total", 0.0) + commit.seconds.get("write", 0.0), 4)


def _recent_rate(commits: Sequence[UnitCommit]) -> float | None:
    """Rows per second over the last commits; None where there are too few."""
    recent = sorted((commit.finished_at, commit.rows_out) for commit in commits)[-RECENT:]
    if len(recent) < 2:
        return None
    times = [datetime.fromisoformat(at).timestamp() for at, _ in recent]
    spent = times[-1] - times[0]
    return sum(rows for _, rows in recent[1:]) / spent if spent > 0 else None
