"""Statistics of a run and of its curations, merged into RUN/stats.json. Constant memory."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, with_config

from pipeline.curation.curate import read_curate_stats
from pipeline.curation.label_counts import LabelCounts
from pipeline.curation.label_stats import COLUMNS, LabelStats, label_stats
from pipeline.curation.manifest import CurateStats
from pipeline.curation.rules.filter_result import DropCounts
from pipeline.run.columns import unit_tables
from pipeline.run.map_units import map_run, num_workers
from pipeline.run.store import RunStore
from pipeline.run.totals import RunTotals
from pipeline.storage.files import exists, read_bytes
from pipeline.storage.lock_file import alone_in
from schemas.checked import STRICT, from_json, parse_object, to_plain
from schemas.counts import Counts
from schemas.errors import DataError
from schemas.plan import UnitCommit

FILE = "stats.json"
STATS_VERSION = 1
WAY_OUT = "delete it, it is made again"


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyStats:
    """What one curation of the run did and holds."""

    made_of: tuple[str, ...]
    """SHA-256 of its files."""
    decisions_id: str
    drops: DropCounts
    decisions_applied: Counts
    records_decided: Counts
    boxes_by_origin: Counts
    labels: LabelCounts

    @classmethod
    def of(cls, done: CurateStats) -> PolicyStats:
        """From the manifest of a whole run's curation."""
        if done.labels is None:
            raise ValueError("the stats of a part of a run hold no labels")
        return cls(
            made_of=tuple(file.sha256 for file in done.files),
            decisions_id=done.decisions_id,
            drops=done.drops,
            decisions_applied=done.decisions_applied,
            records_decided=done.records_decided,
            boxes_by_origin=done.boxes_out,
            labels=done.labels,
        )


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class RunStats:
    """The content of RUN/stats.json."""

    annotations_id: str
    """Fingerprint of the committed annotation files that were counted."""
    is_complete: bool
    commits: RunTotals
    annotations: LabelCounts
    policies: Annotated[dict[str, PolicyStats], Field()]
    """Policy id -> its curation."""
    version: int = STATS_VERSION


def merge_stats(
    run: RunStore,
    policy_ids: Sequence[str] = (),
    *,
    workers: int = 0,
    progress: Callable[[int], object] = lambda d: None,
) -> RunStats:
    """Bring RUN/stats.json up to date with the run and these curations; returns its content.

    What is there and still true is kept. A curation has counted its labels and every candidate on
    its way; the annotations are read here only when no curation of them is asked for.

    Raises:
        DataError: a file breaks the contract.
    """
    old, current = read_stats(run), run.annotations_id()
    curations = {policy_id: read_curate_stats(run, policy_id) for policy_id in policy_ids}
    counted = [
        done.candidates  # a curation reads every candidate and counts on its way
        for done in curations.values()
        if done.annotations_id == current and done.candidates is not None
    ]
    still_true = old is not None and old.annotations_id == current
    if old is not None and still_true:
        annotations = old.annotations
    else:
        annotations = counted[0] if counted else _count(run, workers, progress)
    made = {policy_id: PolicyStats.of(done) for policy_id, done in curations.items()}
    with alone_in(run.uri) if run.is_local else contextlib.nullcontext():
        old = read_stats(run)  # another filter may have written its policy meanwhile
        still_true = old is not None and old.annotations_id == current
        stats = RunStats(
            annotations_id=current,
            is_complete=run.is_complete(),
            commits=_commit_totals(run),
            annotations=annotations,
            policies={**(old.policies if old is not None and still_true else {}), **made},
        )
        text = json.dumps(
            to_plain(stats), indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False
        )
        run.write_text_atomic(text, FILE)
    return stats


def _count(run: RunStore, workers: int, progress: Callable[[int], object]) -> LabelCounts:
    commits = list(run.commits().values())
    pool = num_workers(sum(commit.rows_out for commit in commits), len(commits), workers)
    return _merged(map_run(run, _unit_stats, commits, None, workers=pool), progress)


def _unit_stats(run: RunStore, shared: None, commit: UnitCommit) -> LabelStats:
    return label_stats(unit_tables(run, commit, (*COLUMNS, "status")))


def _merged(parts: Iterable[LabelStats], progress: Callable[[int], object]) -> LabelCounts:
    total = LabelStats()
    for part in parts:
        total.merge(part)
        progress(total.records)
    return total.counts()


def read_stats(run: RunStore) -> RunStats | None:
    """The content of RUN/stats.json; None where there is none of this version.

    Raises:
        DataError: the file is damaged.
    """
    where = run.url(FILE)
    if not exists(where):
        return None
    data = read_bytes(where)
    try:
        if parse_object(data, where=where, error=DataError).get("version") != STATS_VERSION:
            return None
    except DataError as error:
        raise DataError(f"{error}; {WAY_OUT}") from None
    what = "file of statistics"
    return from_json(RunStats, data, where=where, what=what, error=DataError, way_out=WAY_OUT)


def _commit_totals(run: RunStore) -> RunTotals:
    commits = run.commits()
    return RunTotals.of(commits[unit] for unit in sorted(commits))
