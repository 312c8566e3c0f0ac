"""The figures of an evaluation as tables of the terminal."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from pipeline.evaluation.label_quality import NounQuality
from pipeline.evaluation.result import EvaluationResult
from pipeline.evaluation.suites.suite import SuiteResult


def print_figures(result: EvaluationResult, *, nouns: int, out: Path | None) -> None:
    """Print figures, the `nouns` worst nouns, notes, and what of gold was lost or adjusted."""
    console = Console()
    console.print(f"{result.subject} on {result.gold} ({result.gold_format})", markup=False)
    console.print(_table(result))
    worst = result.labels.most_wrong(nouns) if result.labels is not None else []
    if worst:
        console.print(_noun_table(worst))
    if any(row.figure.value != row.figure.value for row in result.rows()):
        console.print("-: gold has nothing to measure it on", markup=False)
    for note in result.notes:
        console.print(f"note: {note}", markup=False, soft_wrap=True)
    for reason, number in result.gold_counts.items():
        if reason.startswith(("dropped", "clipped")) and number:
            said = reason.replace("clipped:", "adjusted:", 1)
            console.print(f"gold {said}: {number}", markup=False, soft_wrap=True)
    if out is not None:
        console.print(f"written {out}", markup=False, soft_wrap=True)


def print_suite(found: SuiteResult, *, out: Path | None) -> None:
    """Print a line for each set of a suite, and the means."""
    console = Console()
    table = Table(box=None, pad_edge=False, title=found.subject, title_justify="left")
    table.add_column("set")
    for name in ("figure", "value", "95 % interval", "images"):
        table.add_column(name, justify="right")
    for name, result in found.results.items():
        kind, value = found.headline(name)
        figure = result.detection.ap if result.detection else result.recalls[0].recall[1]
        bounded = figure.low == figure.low
        table.add_row(
            name,
            kind,
            f"{value:.3f}" if value == value else "-",
            f"{figure.low:.3f} - {figure.high:.3f}" if bounded else "",
            f"{result.detection.num_images if result.detection else result.recalls[0].num_images}",
        )
    for name, value in found.means().items():
        table.add_row(name, "", f"{value:.3f}", "", "")
    console.print(table)
    for name, result in found.results.items():
        for note in result.notes:
            console.print(f"note: {name}: {note}", markup=False, soft_wrap=True)
    for name, reason in found.failed.items():
        console.print(f"not measured: {name}: {reason}", markup=False, soft_wrap=True)
    if out is not None:
        console.print(f"written {out}", markup=False, soft_wrap=True)


def _table(result: EvaluationResult) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("figure", no_wrap=True)
    for name in ("value", "95 % interval", "chance"):
        table.add_column(name, justify="right")
    table.add_column("of")
    for row in result.rows():
        figure = row.figure
        measured = figure.value == figure.value
        bounded = figure.low == figure.low
        table.add_row(
            row.name,
            f"{figure.value:.3f}" if measured else "-",
            f"{figure.low:.3f} - {figure.high:.3f}" if bounded else "",
            "" if row.chance is None or row.chance != row.chance else f"{row.chance:.3f}",
            row.of,
        )
    return table


def _noun_table(worst: list[tuple[str, NounQuality]]) -> Table:
    title = "nouns with the most wrong labels"
    table = Table(box=None, pad_edge=False, title=title, title_justify="left")
    table.add_column("noun")
    for name in ("wrong", "labels", "precision", "recall"):
        table.add_column(name, justify="right")
    for noun, one in worst:
        recall = f"{one.found / one.gold:.2f}" if one.gold else ""
        precision = f"{one.right / one.labels:.2f}"
        table.add_row(noun, f"{one.wrong:,}", f"{one.labels:,}", precision, recall)
    return table
