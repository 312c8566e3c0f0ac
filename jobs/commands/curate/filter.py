"""Apply a filter policy, and the decisions of reviewers, to a labelled run.

Writes RUN/curated/<policy>/ and merges RUN/stats.json. No model runs: candidates were stored once,
and may be filtered any number of times.
"""

from __future__ import annotations

import json as json_module
import sys
from dataclasses import dataclass
from shlex import quote
from typing import TYPE_CHECKING, Any, Literal

import tyro

from jobs.arguments import Repeated, Run
from schemas.errors import ConfigError

if TYPE_CHECKING:
    from rich.table import Table

    from pipeline.curation.manifest import CurateStats
    from pipeline.curation.rules.policy import FilterPolicy
    from pipeline.report.policies import PolicyComparison
    from pipeline.run.map_units import Mapper
    from pipeline.run.store import RunStore


EXAMPLES = (
    "glipforge filter runs/1 --policy default",
    "glipforge filter runs/1 --policy glip --policy grit --compare",
)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options of `glipforge filter`."""

    run: tyro.conf.Positional[Run]
    """The run directory or URL."""
    policy: Repeated = ()
    """default, recommended (default with the threshold that the run's teacher recommends), glip,
    grit, yoloworld, owlst, strict-review, or a JSON file of your own rules; may be given several
    times. `default` if not given."""
    compare: bool = False
    """Write no labels: say what each of several policies keeps and drops, and how far they
    agree."""
    out: str = ""
    """With --compare: the page with the plot; RUN/policies.html if not given."""
    runner: Literal["local", "ray"] = "local"
    """Processes of this machine, or the cores of a Ray cluster that `RAY_ADDRESS` names."""
    workers: int = 0
    """Processes; 0: as many as pay. The result is the same."""
    json: bool = False
    """Print the counts as JSON instead of a table."""


def run(config: Config) -> int:
    """Curate the run and say what every rule dropped."""
    from jobs.ray_map import ray_map
    from jobs.ray_session import ray_session, require_absolute
    from pipeline.curation.recommended import policy_for, unknown_classes
    from pipeline.run.map_units import map_run
    from pipeline.run.open import open_run

    if config.workers < 0:
        raise ConfigError(f"workers must be 0 or more, got {config.workers}")
    if config.out and not config.compare:
        raise ConfigError(
            f"out is the page of a comparison: give --compare too, got {config.out!r}"
        )
    labelled = open_run(config.run)
    policies = [policy_for(labelled, name) for name in config.policy or ("default",)]
    for policy in policies:
        if unknown := unknown_classes(labelled, policy):
            print(f"note     {unknown}", file=sys.stderr)
    if config.runner == "local":
        return _run(config, labelled, policies, map_run)
    require_absolute("run", config.run)
    with ray_session(config.workers):
        return _run(config, labelled, policies, ray_map)


def _run(config: Config, labelled: RunStore, policies: list[FilterPolicy], mapper: Mapper) -> int:
    if config.compare:
        return _compare(config, labelled, policies, mapper)
    found = [_curate(config, labelled, policy, mapper) for policy in policies]
    if config.json:
        plain = [_as_json(stats) for stats in found]
        print(json_module.dumps(plain[0] if len(plain) == 1 else plain, indent=1, sort_keys=True))
        return 0
    from rich.console import Console

    from pipeline.curation.recommended import run_scores

    console = Console()
    scores = run_scores(labelled)
    for stats, name in zip(found, config.policy or ("default",), strict=True):
        console.print(f"policy {stats.policy_id}", markup=False)
        if scores is not None and name == "default" and scores.recommended_threshold != 0.5:
            console.print(
                f"its threshold is 0.5; the teacher of this run recommends "
                f"{scores.recommended_threshold:g} ({scores.meaning}): --policy recommended",
                markup=False,
            )
        console.print(_boxes_table(stats))
        console.print(_pairs_table(stats))
        for line in _closing_lines(stats):
            console.print(line, markup=False)
        console.print(
            f"written {labelled.url('curated', stats.policy_id)}; next: glipforge export "
            f"{quote(config.run)} --policy {quote(name)} --format {_format(labelled)} --out "
            "labels.json"
            f"{_image_option(labelled)}",
            markup=False,
            soft_wrap=True,
        )
    return 0


def _format(labelled: RunStore) -> str:
    """Classes are what detectors train on, phrases of captions what grounding does."""
    from pipeline.phrases.class_list import planned_classes

    return "goldg" if planned_classes(labelled.plan().config) is None else "coco"


def _image_option(labelled: RunStore) -> str:
    """What export must be told where trainers cannot open the images as they are."""
    from itertools import islice

    from pipeline.images.address import ImageAddress, UriKind

    first = islice(labelled.iter_annotations(), 1)
    is_file = all(ImageAddress.of(row.image_uri).kind is UriKind.FILE for row in first)
    return "" if is_file else " --copy-images images"


def _curate(
    config: Config, labelled: RunStore, policy: FilterPolicy, mapper: Mapper
) -> CurateStats:
    from jobs.progress_bar import reading_bar
    from pipeline.curation.curate import curate_run
    from pipeline.report.stats import merge_stats

    with reading_bar("filter", labelled.num_records()) as progress:
        stats = curate_run(
            labelled, policy, workers=config.workers, progress=progress, mapper=mapper
        )
    merge_stats(labelled, [policy.policy_id], workers=config.workers)
    return stats


def _compare(
    config: Config, labelled: RunStore, policies: list[FilterPolicy], mapper: Mapper
) -> int:
    from rich.console import Console

    from jobs.progress_bar import reading_bar
    from pipeline.report.policies import compare_policies, comparison_page
    from pipeline.storage.files import write_bytes

    with reading_bar("compare", labelled.num_records()) as progress:
        found = compare_policies(
            labelled, policies, workers=config.workers, progress=progress, mapper=mapper
        )
    out = config.out or labelled.writable("policies.html")
    write_bytes(out, comparison_page(found, title=f"policies over {config.run}").encode())
    if config.json:
        print(json_module.dumps(found.to_dict(), indent=1, sort_keys=True))
        return 0
    console = Console()
    console.print(_comparison_table(found))
    console.print(_overlap_table(found))
    console.print(f"written {out}", markup=False, soft_wrap=True)
    return 0


def _comparison_table(found: PolicyComparison) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("boxes")
    for policy_id in found.policy_ids:
        table.add_column(policy_id, justify="right")
    table.add_row("candidates", *(f"{drops.boxes:,}" for drops in found.drops))
    for reason in found.reasons():
        table.add_row(f"  - {reason}", *(f"{-d.boxes_dropped[reason]:,}" for d in found.drops))
    table.add_row("  - merged onto another", *(f"{-d.boxes_merged:,}" for d in found.drops))
    table.add_row("kept", *(f"{drops.boxes_kept:,}" for drops in found.drops))
    table.add_row("pairs kept", *(f"{drops.records_kept:,}" for drops in found.drops))
    return table


def _overlap_table(found: PolicyComparison) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, title="overlap: kept by both / by either")
    table.add_column("")
    for policy_id in found.policy_ids:
        table.add_column(policy_id, justify="right")
    for a, policy_id in enumerate(found.policy_ids):
        shares = [found.overlap(a, b) for b in range(len(found.policy_ids))]
        table.add_row(policy_id, *(f"{v:.1%}" if v == v else "-" for v in shares))
    return table


def _as_json(stats: CurateStats) -> dict[str, Any]:
    from schemas.checked import to_plain

    plain: dict[str, Any] = to_plain(stats)
    for name in ("candidates", "labels", "policy", "version"):  # in RUN/stats.json, the manifest
        del plain[name]
    return plain


def _boxes_table(stats: CurateStats) -> Table:
    from pipeline.curation.rules.filter_result import BOX_REASONS, IMAGE_REASONS

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
    if stats.records_decided["bad"]:
        _row(table, "  - called bad by people", -stats.records_decided["bad"], drops.records)
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
    if stats.second_spans:
        lines.append(f"{stats.second_spans:,} second spans: phrases that boxes carry too")
    if not stats.is_complete:
        lines.append("the run is not finished: units that are still to do are left out")
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
