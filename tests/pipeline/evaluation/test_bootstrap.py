from __future__ import annotations

import numpy as np
import pytest

from pipeline.evaluation.bootstrap import drawn_interval, ratio_interval


def test_nothing_to_measure() -> None:
    assert np.isnan(ratio_interval([0, 0], [0, 0]).value)
    assert np.isnan(drawn_interval(0.5, []).low)
    assert np.isnan(drawn_interval(0.5, [float("nan")]).high)


def test_the_interval_of_a_share() -> None:
    """Of 400 coins, 100 heads: about the normal interval of a proportion."""
    found = ratio_interval([1] * 100 + [0] * 300, [1] * 400)
    assert found.value == 0.25
    assert found.low == pytest.approx(0.25 - 1.96 * (0.25 * 0.75 / 400) ** 0.5, abs=0.006)
    assert found.high == pytest.approx(0.25 + 1.96 * (0.25 * 0.75 / 400) ** 0.5, abs=0.006)


def test_a_biased_figure_lies_in_its_interval() -> None:
    drawn = np.random.default_rng(0).normal(0.32, 0.01, 2000)
    plain, moved = drawn_interval(0.29, drawn), drawn_interval(0.29, drawn, is_biased=True)
    assert plain.low > 0.29
    assert moved.low < 0.29 < moved.high
    assert moved.high - moved.low == pytest.approx(plain.high - plain.low)
    assert drawn_interval(0.001, drawn, is_biased=True).low == 0.0


def test_equal_seeds_give_equal_intervals() -> None:
    top, bottom = [1, 0, 2, 3], [2, 2, 3, 3]
    assert ratio_interval(top, bottom) == ratio_interval(top, bottom)
