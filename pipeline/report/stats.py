"""Statistics of a run and of its curations, merged into RUN/stats.json. Constant memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from pipeline.curation.curate import read_curate_stats
from pipeline.curation.label_stats import (
    COLUMNS,
    LabelStats,
    check_label_stats,
    is_counts,
    label_stats,
)
from pipeline.curation.manifest import check_drops
from pipeline.run.columns import unit_tables
from pipeline.run.map_units import map_run, num_workers
from pipeline.run.open import annotations_id
from pipeline.run.store import RunStore
from pipeline.run.totals import RunTotals
from pipeline.storage.files import exists, read_bytes, write_bytes
from schemas.checked import to_plain
from schemas.damage import whole
from schemas.plan import UnitCommit

FILE = "stats.json"
STATS_VERSION = 1


def merge_stats(
    run: RunStore,
    policy_ids: Sequence[str] = (),
    *,
    workers: int = 0,
    progress: Callable[[int], object] = lambda d: None,
) -> dict[str, Any]:
    """Bring RUN/stats.json up to date with the run and these curations; returns its content.

    What is there and still true is kept. A curation has counted its labels and every candidate on
    its way; the annotations are read here only when no curation of them is asked for.

    Raises:
        DataError: a file breaks the contract.
    """
    old = read_stats(run) or {}
    current = annotations_id(run)
    content: dict[str, Any] = {
        "version": STATS_VERSION,
        "annotations_id": current,
        "is_complete": run.is_complete(),
        "commits": _commit_totals(run),
        "policies": {},
    }
    curations = {policy_id: read_curate_stats(run, policy_id) for policy_id in policy_ids}
    same = [done for done in curations.values() if done.annotations_id == current]
    if old.get("annotations_id") == current:
        content["annotations"] = old["annotations"]
        content["policies"] = dict(old["policies"])
    elif same:  # a curation reads every candidate and counts on its way
        content["annotations"] = same[0].candidates
    else:
        commits = list(run.commits().values())
        rows = sum(commit.rows_out for commit in commits)
        content["annotations"] = _merged(
            map_run(
                run, _unit_stats, commits, None, workers=num_workers(rows, len(commits), workers)
            ),
            progress,
        )
    for policy_id, done in curations.items():
        content["policies"][policy_id] = {
            "made_of": [entry["sha256"] for entry in done.files],
            "decisions_id": done.decisions_id,
            "drops": vars(done.drops),
            "decisions_applied": done.decisions_applied,
            "records_decided": done.records_decided,
            "boxes_by_origin": done.boxes_out,
            "labels": done.labels,
        }
    text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write_bytes(run.url(FILE), text.encode())
    return dict(json.loads(text))


def _unit_stats(run: RunStore, shared: None, commit: UnitCommit) -> LabelStats:
    return label_stats(unit_tables(run, commit, (*COLUMNS, "status")))


def _merged(parts: Iterable[LabelStats], progress: Callable[[int], object]) -> dict[str, Any]:
    total = LabelStats()
    for part in parts:
        total.merge(part)
        progress(total.records)
    return total.to_dict()


def read_stats(run: RunStore) -> dict[str, Any] | None:
    """The content of RUN/stats.json; None where there is none of this version.

    Raises:
        DataError: the file is not JSON.
    """
    if not exists(run.url(FILE)):
        return None
    data = read_bytes(run.url(FILE))
    with whole(run.url(FILE), "delete it, it is made again"):
        content = dict(json.loads(data))
        if content.get("version") != STATS_VERSION:
            return None
        check_label_stats(content["annotations"])
        for done in dict(content["policies"]).values():
            check_label_stats(done["labels"])
            check_drops(done["drops"])
            json.dumps(done, allow_nan=False, ensure_ascii=False).encode()
            for name in ("decisions_applied", "records_decided", "boxes_by_origin"):
                if not is_counts(done[name]):
                    raise ValueError(f"{name} does not hold counts")
    return content


def _commit_totals(run: RunStore) -> dict[str, Any]:
    commits = run.commits()
    found: dict[str, Any] = to_plain(RunTotals.of(commits[unit] for unit in sorted(commits)))
    return found
