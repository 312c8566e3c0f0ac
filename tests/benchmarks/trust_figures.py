"""Is the promise kept, and does the queue find errors? Figures and plots of worlds whose truth is
known.

    python -m tests.benchmarks.trust_figures --seeds 200 --out docs/pictures

Writes trust-promise.svg and trust-queue.svg, and prints the tables of docs/trust.md. No time is
measured: the figures are the same on every machine.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.trust.promise import find_promise
from pipeline.trust.queue import make_queue
from tests.pipeline.folder_run import folder_run
from tests.pipeline.trust.planted import POLICY, planted, share_found, write_opinions
from tests.pipeline.trust.simulated import make_world
from tests.pipeline.trust.test_promise import GRID, drawn_levels

QUEUE_SEEDS = 8
CLIPS = {"with CLIP, AUC 0.86": 0.23, "with CLIP, AUC 0.96": 0.21}
"""Cosine of wrong crops, where right ones have 0.26 and both a spread of 0.02."""
COLORS = ("#1d78c8", "#e63946", "#2a9d3f", "#8a8a90", "#c98a00", "#7a4fbf")
_SIZE, _PAD = (460, 300), 44


def promise_rows(seeds: int) -> tuple[list[list[str]], dict[float, list[float]]]:
    """The table, and for each promise the true precisions above the chosen thresholds."""
    rows, shown = [], {}
    for precision in (0.8, 0.9):
        for name, clustered, bands in (
            ("independent errors", False, 1),
            ("whole images wrong together", True, 1),
            ("independent, three strata", False, 3),
        ):
            kept, truths, shares, off, none = [], [], [], [], 0
            for seed in range(seeds):
                world = make_world(seed, clustered=clustered)
                levels = drawn_levels(world, seed, bands=bands)
                found = find_promise(levels, precision)
                off.append(abs(levels[-1].estimate() - world.right.mean()))
                ideal = max(
                    int((world.score > np.float32(t)).sum())
                    for t in GRID
                    if world.precision_above(t) >= precision
                )
                shares.append(found.labels / ideal)
                if found.threshold is None:
                    none += 1
                    continue
                truths.append(world.precision_above(found.threshold))
                kept.append(truths[-1] >= precision)
            if name == "independent errors":
                shown[precision] = truths
            rows.append(
                [
                    f"{precision:g}",
                    name,
                    f"{(sum(kept) + none) / seeds:.3f}",
                    f"{none / seeds:.2f}",
                    f"{np.mean(shares):.2f}",
                    f"{np.mean(np.array(off) < 0.03):.2f}",
                ]
            )
    return rows, shown


def queue_curves(seeds: int) -> tuple[list[list[str]], dict[str, NDArray[np.float64]]]:
    """Share of the errors in the first tenth, and over the whole queue at 101 places."""
    curves: dict[str, list[NDArray[np.float64]]] = {}
    tenths: dict[str, list[float]] = {}
    for seed in range(seeds):
        rows, wrong = planted(seed)
        score = {b.box_id: b.score for r in rows for b in r.boxes}
        kept = {box_id: s for box_id, s in score.items() if s > np.float32(0.4)}
        wrong &= set(kept)
        dice = np.random.default_rng([seed, 3])
        orders = {
            "random": dice.permutation(list(kept)).tolist(),
            "score alone": sorted(kept, key=lambda box_id: kept[box_id]),
            "perfect": sorted(kept, key=lambda box_id: box_id not in wrong),
        }
        with tempfile.TemporaryDirectory() as folder:
            run = folder_run(Path(folder) / "run", rows)
            orders["queue"] = _order(make_queue(run, POLICY, size=10**6)[0])
        for name, cosine in CLIPS.items():
            with tempfile.TemporaryDirectory() as folder:
                run = folder_run(Path(folder) / "run", rows)
                seen = [float(dice.normal(cosine if b in wrong else 0.26, 0.02)) for b in score]
                write_opinions(run, "clip", {"cosine": seen, "score": seen})
                orders[name] = _order(make_queue(run, POLICY, size=10**6)[0])
        for name, order in orders.items():
            tenths.setdefault(name, []).append(share_found(order, wrong, len(kept)))
            hits = np.cumsum([box_id in wrong for box_id in order]) / len(wrong)
            at = np.linspace(0, len(order) - 1, 101).astype(int)
            curves.setdefault(name, []).append(hits[at])
    names = ("random", "score alone", "queue", *CLIPS, "perfect")
    table = [[name, f"{np.mean(tenths[name]):.2f}"] for name in names]
    return table, {name: np.mean(curves[name], axis=0) for name in names}


def _order(suspects: Sequence) -> list[str]:
    return [one.box_id for one in suspects if one.box_id]


def plot(
    series: dict[str, list[tuple[float, float]]],
    *,
    x: tuple[float, float],
    y: tuple[float, float],
    x_label: str,
    y_label: str,
    levels: Sequence[float] = (),
) -> str:
    """A stand-alone SVG of lines; `levels` are drawn as dashed horizontal lines."""
    (width, height), pad = _SIZE, _PAD

    def place(point: tuple[float, float]) -> str:
        across = pad + (point[0] - x[0]) / (x[1] - x[0]) * (width - pad - 12)
        up = height - pad - (point[1] - y[0]) / (y[1] - y[0]) * (height - pad - 12)
        return f"{across:.1f},{up:.1f}"

    def text(at: tuple[float, float], words: str, anchor: str = "middle", turn: str = "") -> str:
        return (
            f'<text x="{at[0]:.1f}" y="{at[1]:.1f}" text-anchor="{anchor}" {turn} '
            f'font-family="sans-serif" font-size="11" fill="#3a3a40">{words}</text>'
        )

    parts = [f'<rect width="{width}" height="{height}" fill="#fff"/>']
    for share in np.linspace(0, 1, 6):
        value = y[0] + share * (y[1] - y[0])
        a, b = place((x[0], value)), place((x[1], value))
        (ax, ay), (bx, _) = (map(float, one.split(",")) for one in (a, b))
        parts.append(f'<line x1="{ax}" x2="{bx}" y1="{ay}" y2="{ay}" stroke="#dcdcd8"/>')
        parts.append(text((ax - 5, ay + 4), f"{value:.3g}", "end"))
        at = x[0] + share * (x[1] - x[0])
        px = float(place((at, y[0])).split(",")[0])
        parts.append(text((px, height - pad + 15), f"{at:.3g}"))
    for level in levels:
        (ax, ay), (bx, _) = (map(float, place((end, level)).split(",")) for end in x)
        parts.append(
            f'<line x1="{ax}" x2="{bx}" y1="{ay}" y2="{ay}" stroke="#3a3a40" '
            'stroke-dasharray="4 3"/>'
        )
    for number, (name, points) in enumerate(series.items()):
        color = COLORS[number % len(COLORS)]
        line = " ".join(place(point) for point in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="2"/>')
        top = height - pad - 14 * (len(series) - number)
        parts.append(
            f'<rect x="{width - 150}" y="{top - 8}" width="10" height="10" fill="{color}"/>'
        )
        parts.append(text((width - 136, top + 1), name, "start"))
    parts.append(text((width / 2, height - 10), x_label))
    parts.append(text((12, height / 2), y_label, turn=f'transform="rotate(-90 12 {height / 2})"'))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}">'
        f"{''.join(parts)}</svg>\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--queue-seeds", type=int, default=QUEUE_SEEDS)
    parser.add_argument("--out", type=Path, default=Path("docs/pictures"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    rows, shown = promise_rows(options.seeds)
    header = ["promised", "errors", "kept in", "no threshold", "labels against an oracle"]
    print_table([*header, "estimate within 3 points"], rows)
    lines = {
        f"at least {precision:g} promised": [
            ((n + 0.5) / len(truths), truth) for n, truth in enumerate(sorted(truths))
        ]
        for precision, truths in shown.items()
        if truths
    }
    picture = plot(
        lines,
        x=(0, 1),
        y=(0.7, 1),
        x_label="draws of 300 labels, by what came out",
        y_label="true precision above the threshold",
        levels=(0.8, 0.9),
    )
    (options.out / "trust-promise.svg").write_text(picture, encoding="utf-8")
    table, curves = queue_curves(options.queue_seeds)
    print_table(["order", "errors in the first 10 %"], table)
    picture = plot(
        {
            name: list(zip(np.linspace(0, 1, 101), curve, strict=True))
            for name, curve in curves.items()
        },
        x=(0, 1),
        y=(0, 1),
        x_label="share of the labels looked at",
        y_label="share of the errors found",
    )
    (options.out / "trust-queue.svg").write_text(picture, encoding="utf-8")


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """As Markdown."""
    for row in (header, ["---"] * len(header), *rows):
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
