"""Compare the labels of two runs of one corpus: what B kept, moved, missed and added to A."""

from __future__ import annotations

import json as json_module
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import tyro

from jobs.arguments import Run
from schemas.errors import ConfigError
from schemas.redaction import shown

if TYPE_CHECKING:
    from rich.table import Table

    from pipeline.report.compare import LabelChange, RunComparison


EXAMPLES = ("glipforge compare runs/1 runs/2 --policy default",)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options of `glipforge compare`."""

    a: tyro.conf.Positional[Run]
    """The first run: the older teacher's."""
    b: tyro.conf.Positional[Run]
    """The second run."""
    policy: str = "default"
    """Preset or JSON file; both runs go through it. Decisions of people play no part."""
    nouns: int = 20
    """Lines of the table by noun."""
    json: bool = False
    """Print JSON instead of tables."""


def run(config: Config) -> int:
    """Compare; returns 0."""
    from pipeline.curation.recommended import policy_for
    from pipeline.report.compare import COLUMNS, compare_runs
    from pipeline.run.columns import run_tables
    from pipeline.run.open import open_run

    if config.nouns < 0:
        raise ConfigError(f"nouns must be 0 or more, got {config.nouns}")
    runs = open_run(config.a), open_run(config.b)
    policies = tuple(policy_for(run, config.policy) for run in runs)
    a, b = (run_tables(run, COLUMNS) for run in runs)
    found = compare_runs(a, b, *policies)
    if config.json:
        print(json_module.dumps(as_json(found, config.nouns), indent=1, sort_keys=True))
        return 0
    from rich.console import Console

    console = Console()
    for line in _lines(config, found):
        console.print(line, markup=False, soft_wrap=True)
    console.print(_noun_table(found, config.nouns))
    return 0


def _lines(config: Config, found: RunComparison) -> list[str]:
    total = found.total
    lines = [
        f"A {config.a}",
        f"B {config.b}",
        f"policy {found.policy_id}",
        f"{found.pairs:,} pairs in both, {found.pairs_only_a:,} only in A, "
        f"{found.pairs_only_b:,} only in B",
        f"{found.phrases:,} phrases in both, {found.phrases_only_a:,} only in A, "
        f"{found.phrases_only_b:,} only in B",
        f"labels: {total.kept:,} kept ({total.moved:,} of them moved), {total.missed:,} missed, "
        f"{total.added:,} added; agreement "
        f"{_share(total.agreement)} (2 kept / all labels)",
        f"kept labels: mean change of score {total.mean_shift:+.3f}, mean IoU {total.mean_iou:.3f}"
        if total.kept
        else "no label is in both runs",
        f"best box the same: {_share(found.top1_agreement)} of {found.top1_both:,} phrases "
        "labelled in both",
    ]
    if found.captions_differ:
        lines.append(f"{found.captions_differ:,} pairs have another caption in B: not compared")
    changed = {key: n for key, n in found.statuses.items() if key[0] != key[1]}
    lines += [f"status {a} -> {b}: {n:,} pairs" for (a, b), n in sorted(changed.items())]
    return lines


def _noun_table(found: RunComparison, number: int) -> Table:
    from rich.markup import escape
    from rich.table import Table

    table = Table(
        box=None, pad_edge=False, title="nouns with the most changes", title_justify="left"
    )
    table.add_column("noun")
    for name in ("kept", "moved", "missed", "added", "agreement", "score"):
        table.add_column(name, justify="right")
    for noun, change in found.most_changed(number):
        shift = f"{change.mean_shift:+.3f}" if change.kept else ""
        numbers = (change.kept, change.moved, change.missed, change.added)
        counts = (f"{number:,}" for number in numbers)
        table.add_row(escape(shown(noun)), *counts, _share(change.agreement), shift)
    return table


def _share(value: float) -> str:
    return f"{value:.1%}" if value == value else "-"


def as_json(found: RunComparison, nouns: int) -> dict[str, Any]:
    """Plain values of a comparison, with the `nouns` that changed most."""

    def change(one: LabelChange) -> dict[str, Any]:
        figures = {
            "agreement": one.agreement,
            "mean_shift": one.mean_shift,
            "mean_iou": one.mean_iou,
        }
        counts = {
            "kept": one.kept,
            "moved": one.moved,
            "missed": one.missed,
            "added": one.added,
        }
        return counts | {k: v if v == v else None for k, v in figures.items()}

    content = vars(found) | {
        "statuses": [[a, b, n] for (a, b), n in sorted(found.statuses.items())],
        "total": change(found.total),
        "by_noun": {noun: change(one) for noun, one in found.most_changed(nouns)},
        "top1_agreement": found.top1_agreement if found.top1_both else None,
    }
    return dict(content)
