"""Explain a labelling or training run from its own files: how far, how fast, what failed."""

from __future__ import annotations

import json as json_module
import time
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from jobs.arguments import Run
from schemas.errors import ConfigError
from schemas.records import Status

if TYPE_CHECKING:
    from pipeline.run.store import RunStore
    from schemas.plan import UnitCommit

EXAMPLES = ("glipforge status runs/1 --watch 10",)
SLOWEST = 3
RECENT = 20
"""Commits that the present rate is taken from."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options of `glipforge status`."""

    run: tyro.conf.Positional[Run]
    """The directory or URL of a labelling run, or the directory of a training run."""
    watch: float = 0.0
    """Print it again every so many seconds, until the run is complete; 0: once."""
    json: bool = False
    """Print JSON."""


def run(config: Config) -> int:
    """Print the state of a run; returns 0."""
    from jobs.training.status import is_training, print_training, read_training
    from pipeline.run.store import RunStore

    if config.watch < 0:
        raise ConfigError(f"watch must be 0 or more, got {config.watch}")
    folder = Path(config.run)
    store = RunStore(config.run)
    trains = is_training(folder)
    while True:
        found = read_training(folder) if trains else read_status(store)
        if config.json:
            print(json_module.dumps(found), flush=True)
        elif trains:
            print_training(found)
        else:
            print_status(store, found)
        if not config.watch or found["complete"]:
            return 0
        time.sleep(config.watch)


def read_status(store: RunStore) -> dict[str, Any]:
    """Everything that `status` tells, as JSON values.

    Raises:
        ConfigError: this is not a labelling run.
    """
    from pipeline.run.lock import STALE_S, lock_holder

    plan, commits = store.plan(), list(store.commits().values())
    statuses: Counter[str] = Counter()
    stages: Counter[str] = Counter()
    examples: dict[str, str] = {}
    for commit in commits:
        statuses.update(commit.status_counts)
        examples = {**commit.examples, **examples}
        for stage, seconds in commit.seconds.items():
            stages[stage] += seconds  # type: ignore[assignment]
    rows = sum(commit.rows_out for commit in commits)
    slow = sorted(commits, key=lambda c: -_spent(c) / max(1, c.rows_out))
    spent = sum(map(_spent, commits))
    holder = lock_holder(store)
    is_driven = holder is not None and holder.get("silent_s", 0.0) <= STALE_S
    rate = _recent_rate([(commit.finished_at, commit.rows_out) for commit in commits])
    left = len(plan.units) - len(commits)
    return {
        "run": store.uri,
        "corpus": plan.corpus,
        "format": plan.corpus_format,
        "teachers": sorted({commit.teacher_id for commit in commits}),
        "complete": store.is_complete(),
        "driver": holder,
        "is_driven": is_driven,
        "units": len(plan.units),
        "units_done": len(commits),
        "rows": rows,
        "boxes": sum(commit.num_boxes for commit in commits),
        "statuses": dict(statuses.most_common()),
        "examples": examples,
        "seconds": {stage: round(value, 2) for stage, value in stages.most_common()},
        "rows_per_worker_second": rows / spent if spent else None,
        "rows_per_second": rate,
        "seconds_left": (
            left * rows / len(commits) / rate if is_driven and rate and commits and left else None
        ),
        "last_commit": max((commit.finished_at for commit in commits), default=None),
        "slowest_units": [
            {"unit": c.unit_id, "rows": c.rows_out, "seconds": _spent(c)} for c in slow[:SLOWEST]
        ],
        "pending_units": [u.unit_id for u in store.pending()[:SLOWEST]],
    }


def print_status(store: RunStore, found: dict[str, Any] | None = None) -> None:
    """The state of a run in a few lines; `found` is what `read_status` gave."""
    found = found or read_status(store)
    usable = sum(n for name, n in found["statuses"].items() if not Status(name).is_quarantined)
    print(f"run      {found['run']}: {_state(found)}")
    print(f"units    {found['units_done']:,} of {found['units']:,} committed")
    print(
        f"rows     {found['rows']:,}: {usable:,} usable, {found['rows'] - usable:,} with a reason"
    )
    for name, number in found["statuses"].items():
        example = f"   e.g. {found['examples'][name]}" if name in found["examples"] else ""
        print(f"  {name:<16} {number:>10,}{example}")
    print(f"boxes    {found['boxes']:,} candidates above the floor")
    if found["rows_per_worker_second"]:
        rate = f"{found['rows_per_worker_second']:.1f} images/s per unit at work"
        stages = ", ".join(
            f"{stage} {seconds:.1f}"
            for stage, seconds in found["seconds"].items()
            if stage != "total" and seconds >= 0.05
        )
        print(f"speed    {rate}; seconds by stage: {stages}")
    if len(found["slowest_units"]) > 1:
        slow = (f"{u['unit']} {_per_row(u):.2f}" for u in found["slowest_units"])
        print(f"slowest  seconds per row: {', '.join(slow)}")
    if not found["complete"] and found["pending_units"]:
        print(f"next     {', '.join(found['pending_units'])}")


def _spent(commit: UnitCommit) -> float:
    """Seconds from the first record to the file: `total` ends before the rows are written."""
    return round(commit.seconds.get("total", 0.0) + commit.seconds.get("write", 0.0), 4)


def _per_row(unit: dict[str, Any]) -> float:
    seconds: float = unit["seconds"]
    return seconds / max(1, int(unit["rows"]))


def _state(found: dict[str, Any]) -> str:
    if found["complete"]:
        return "complete"
    holder = found["driver"]
    if not holder:
        return "not complete and nobody works on it; the same `glipforge label` command goes on"
    who = f"process {holder.get('pid', '?')} on {holder.get('host', '?')}"
    if not found["is_driven"]:
        return (
            f"not complete; {who} gave no sign of life for {holder['silent_s']:,.0f} s and is "
            "probably gone; the same `glipforge label` command goes on"
        )
    who += " works on it"
    if found["seconds_left"]:
        who += (
            f", {found['rows_per_second']:.1f} images/s, about "
            f"{found['seconds_left'] / 60:.0f} min left"
        )
    return who


def _recent_rate(commits: list[tuple[str, int]]) -> float | None:
    """Rows per second over the last commits; None where there are too few."""
    recent = sorted(commits)[-RECENT:]
    if len(recent) < 2:
        return None
    times = [datetime.fromisoformat(at).timestamp() for at, _ in recent]
    spent = times[-1] - times[0]
    return sum(rows for _, rows in recent[1:]) / spent if spent > 0 else None
