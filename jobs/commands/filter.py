"""Apply a filter policy, and the decisions of reviewers, to a labelled run.

Writes RUN/curated/<policy>/ and merges RUN/stats.json. No model runs: candidates were stored once,
and may be filtered any number of times.
"""

from __future__ import annotations

import json as json_module
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import tyro

from jobs.arguments import Run
from schemas.errors import ConfigError

if TYPE_CHECKING:
    from rich.table import Table

    from pipeline.curation.manifest import CurateStats


EXAMPLES = ("glipforge filter runs/1 --policy default",)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options of `glipforge filter`."""

    run: tyro.conf.Positional[Run]
    """The run directory or URL."""
    policy: str = "default"
    """default, glip, grit, yoloworld, owlst, strict-review, or a JSON file of your own rules."""
    workers: int = 0
    """Processes; 0: as many as pay. The result is the same."""
    json: bool = False
    """Print the counts as JSON instead of a table."""


def run(config: Config) -> int:
    """Curate the run and say what every rule dropped."""
    from jobs.progress_bar import reading_bar
    from pipeline.curation.curate import curate_run
    from pipeline.curation.policy import get_policy
    from pipeline.report.stats import merge_stats
    from pipeline.run.open import num_records, open_run

    if config.workers < 0:
        raise ConfigError(f"workers must be 0 or more, got {config.workers}")
    policy = get_policy(config.policy)
    labelled = open_run(config.run)
    total = num_records(labelled)
    with reading_bar("filter", total) as progress:
        stats = curate_run(labelled, policy, workers=config.workers, progress=progress)
    with reading_bar("statistics", total) as progress:
        merge_stats(labelled, [policy.policy_id], workers=config.workers, progress=progress)
    if config.json:
        print(json_module.dumps(_as_json(stats), indent=1, sort_keys=True))
        return 0
    from rich.console import Console

    console = Console()
    console.print(f"policy {policy.policy_id}", markup=False)
    console.print(_boxes_table(stats))
    console.print(_pairs_table(stats))
    for line in _closing_lines(stats):
        console.print(line, markup=False)
    console.print(
        f"written {labelled.url('curated', policy.policy_id)}; next: glipforge export "
        f"{config.run} --policy {config.policy} --format goldg --out labels.json",
        markup=False,
        soft_wrap=True,
    )
    return 0


def _as_json(stats: CurateStats) -> dict[str, Any]:
    return vars(stats) | {"drops": vars(stats.drops)}


def _boxes_table(stats: CurateStats) -> Table:
    from pipeline.curation.filter_result import BOX_REASONS, IMAGE_REASONS

    drops = stats.drops
    table = _table("boxes")
    _row(table, "candidates", drops.boxes, drops.boxes)
    for reason in (*BOX_REASONS, *IMAGE_REASONS):
        if drops.boxes_dropped[reason]:
            _row(table, f"  - {reason}", -drops.boxes_dropped[reason], drops.boxes)
    if drops.boxes_merged:
        label = "  - merged: their phrase went to a box at the same place"
        _row(table, label, -drops.boxes_merged, drops.boxes)
    _row(table, "kept by the rules", drops.boxes_kept, drops.boxes)
    if stats.decisions_applied:
        _row(table, "after decisions of people", stats.boxes_out.total(), drops.boxes)
    return table


def _pairs_table(stats: CurateStats) -> Table:
    drops = stats.drops
    table = _table("pairs")
    _row(table, "annotated", drops.records, drops.records)
    for reason, number in sorted(drops.records_dropped.items(), key=lambda item: -item[1]):
        _row(table, f"  - {reason}", -number, drops.records)
    if stats.records_decided["restored"]:
        _row(table, "  + brought back by people", stats.records_decided["restored"], drops.records)
    if stats.records_decided["emptied"]:
        label = "  - every box rejected by people"
        _row(table, label, -stats.records_decided["emptied"], drops.records)
    _row(table, "kept", stats.records_out, drops.records)
    return table


def _closing_lines(stats: CurateStats) -> list[str]:
    lines = []
    if stats.decisions_applied:
        applied = ", ".join(f"{verdict} {n}" for verdict, n in stats.decisions_applied.items() if n)
        lines.append(f"decisions: {applied}")
    if stats.boxes_out.total() and stats.records_out:
        mean = stats.boxes_out.total() / stats.records_out
        lines.append(f"{mean:.2f} boxes per kept pair")
    if not stats.is_complete:
        lines.append("the run is not finished: units without a commit are not in")
    return lines


def _table(noun: str) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column(noun)
    table.add_column("number", justify="right")
    table.add_column("share", justify="right")
    return table


def _row(table: Table, label: str, number: int, total: int) -> None:
    share = f"{abs(number) / total:.1%}" if total else ""
    table.add_row(label, f"{number:,}", share)
