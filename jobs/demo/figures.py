"""What an experiment came to: figures of several seeds as one, their table and their plot."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.evaluation.bootstrap import CONFIDENCE, Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Figures = Mapping[str, Sequence[Mapping[str, Any]]]
"""Kind of model -> its models, one for each seed -> held-out part -> figure -> value, low, high and
chance."""

NAMES = {"r1": "phrase R@1", "ap50": "AP50", "recall20": "recall@20 of any name"}
STUDENT, CONTROL = "student", "control"
_TAILS = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365}
"""Student's t, two-sided 95 %, by the number of seeds; more are taken as normal."""
_NORMAL = 1.96


def over_seeds(figures: Sequence[Mapping[str, float]]) -> Interval:
    """Mean of one figure over models that were trained alike from several seeds, with its interval.

    The models are measured on the same scenes, so the error of drawing scenes is not divided by
    their number; that of the seeds is. Both are taken as independent: the half-width is the root
    of the sum of the squares of 1.96 x the scenes' standard error and t x s / sqrt(seeds).
    """
    number = len(figures)
    values = [one["value"] for one in figures]
    mean = sum(values) / number
    scenes = sum(((one["high"] - one["low"]) / 2) ** 2 for one in figures) / number
    if number == 1:
        return Interval(mean, figures[0]["low"], figures[0]["high"])
    variance = sum((value - mean) ** 2 for value in values) / (number - 1)
    half = math.sqrt(scenes + _TAILS.get(number, _NORMAL) ** 2 * variance / number)
    return Interval(mean, max(0.0, mean - half), min(1.0, mean + half))


def gains(figures: Figures, part: str, figure: str) -> list[float]:
    """Student minus control, seed by seed."""
    pairs = zip(figures[STUDENT], figures[CONTROL], strict=True)
    return [a[part][figure]["value"] - b[part][figure]["value"] for a, b in pairs]


def print_results(figures: Figures) -> None:
    """A table for each figure: held-out parts by kinds of model."""
    from rich.console import Console
    from rich.table import Table

    print(
        f"\nMeans over seeds, below them the {CONFIDENCE:.0%} interval; gain: student - control\n"
    )
    for figure, name in NAMES.items():
        table = Table(box=None, pad_edge=False)
        table.add_column(name)
        for column in ("chance", *figures, "gain of each seed"):
            table.add_column(column, justify="right")
        for part in _parts(figures):
            chance = _chance(figures, part, figure)
            table.add_row(
                part,
                "" if chance is None else f"{chance:.3f}",
                *(
                    _text(over_seeds([one[part][figure] for one in models]))
                    for models in figures.values()
                ),
                " ".join(f"{gain:+.3f}" for gain in gains(figures, part, figure)),
            )
        Console().print(table)


def draw_plot(figures: Figures, path: Path) -> None:
    """The same as a picture (by the ending of `path`: SVG, PNG, PDF): a panel for each figure."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4.2), layout="constrained")
    panels = figure.subplots(1, len(NAMES), sharey=True)
    for axes, name in zip(panels, NAMES, strict=True):
        _draw_panel(axes, figures, name)
    panels[0].set_ylabel(f"held-out scenes, mean over seeds, {CONFIDENCE:.0%} interval")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    figure.savefig(path)


def _draw_panel(axes: Axes, figures: Figures, name: str) -> None:
    parts = _parts(figures)
    for number, (kind, models) in enumerate(figures.items()):
        found = [over_seeds([one[part][name] for one in models]) for part in parts]
        places = [at + (number - (len(figures) - 1) / 2) * 0.16 for at in range(len(parts))]
        values = [one.value for one in found]
        errors = [
            [max(0.0, one.value - one.low) for one in found],
            [max(0.0, one.high - one.value) for one in found],
        ]
        axes.errorbar(places, values, errors, fmt="o", capsize=3, label=kind)
    for at, part in enumerate(parts):
        chance = _chance(figures, part, name)
        if chance is not None:
            label = "chance" if at == 0 else ""
            axes.hlines(chance, at - 0.4, at + 0.4, "grey", "dashed", label=label)
    axes.set_xticks(range(len(parts)), parts)
    axes.set_title(NAMES[name])
    axes.set_ylim(0, 1.02)
    axes.grid(axis="y", alpha=0.3)


def _parts(figures: Figures) -> list[str]:
    first = next(iter(figures.values()))[0]
    return [name for name, found in first.items() if isinstance(found, Mapping)]


def _chance(figures: Figures, part: str, figure: str) -> float | None:
    """The same for all models: it is a property of the gold."""
    found: float | None = next(iter(figures.values()))[0][part][figure]["chance"]
    return found


def _text(figure: Interval) -> str:
    return f"{figure.value:.3f}\n{figure.low:.2f}-{figure.high:.2f}"
