"""Figures of several seeds: their mean, its interval, the table and the plot."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from jobs.demo.figures import NAMES, draw_plot, gains, over_seeds, print_results


def figure(value: float, half: float = 0.0, chance: float | None = 0.25) -> dict:
    return {"value": value, "low": value - half, "high": value + half, "chance": chance}


def model(value: float) -> dict:
    return {"model": "m", "seen": {name: figure(value, 0.02) for name in NAMES}}


FIGURES = {"teacher": [model(0.5)], "control": [model(0.4), model(0.5)]}
FIGURES["student"] = [model(0.6), model(0.8)]


def test_one_seed_keeps_its_interval() -> None:
    found = over_seeds([{"value": 0.5, "low": 0.4, "high": 0.7}])
    assert (found.value, found.low, found.high) == (0.5, 0.4, 0.7)


def test_equal_seeds_leave_the_error_of_the_scenes() -> None:
    found = over_seeds([figure(0.5, 0.1), figure(0.5, 0.1)])
    assert (found.value, found.low, found.high) == pytest.approx((0.5, 0.4, 0.6))


def test_seeds_that_differ_widen_the_interval() -> None:
    found = over_seeds([figure(0.4), figure(0.5), figure(0.6)])
    half = 4.303 * 0.1 / math.sqrt(3)  # t of 2 degrees of freedom
    assert (found.low, found.high) == pytest.approx((0.5 - half, 0.5 + half))


def test_intervals_stay_shares() -> None:
    found = over_seeds([figure(0.9), figure(1.0)])
    assert found.high == 1.0
    assert found.low >= 0.0


def test_gains_are_seed_by_seed() -> None:
    assert gains(FIGURES, "seen", "r1") == pytest.approx([0.2, 0.3])


def test_the_table_has_chance_and_gains(capsys: pytest.CaptureFixture[str]) -> None:
    print_results(FIGURES)
    said = capsys.readouterr().out
    for words in ("phrase R@1", "AP50", "recall@20", "0.250", "+0.200 +0.300", "student"):
        assert words in said


@pytest.mark.parametrize("ending", ["svg", "png"])
def test_the_plot(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"plot.{ending}"
    draw_plot(FIGURES, path)
    assert path.stat().st_size > 1000
    if ending == "svg":
        assert "<!-- student -->" in path.read_text()
