from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from pipeline.trust.bounds import Level, interval, lower_bound, p_value

FINITE = 10**9


@pytest.mark.parametrize("right, drawn", [(0, 10), (10, 10), (7, 10), (280, 300), (0, 0)])
def test_the_interval_is_scipys_exact_one(right: int, drawn: int) -> None:
    if not drawn:
        assert interval(right, drawn) == (0.0, 1.0)
        return
    wanted = binomtest(right, drawn).proportion_ci(0.95, method="exact")
    assert interval(right, drawn) == pytest.approx((wanted.low, wanted.high))


# How many of n drawn labels may be wrong where a precision is promised with confidence 0.95.
@pytest.mark.parametrize(
    "precision, drawn, wrong",
    [
        *[(0.8, n, w) for n, w in ((100, 13), (200, 30), (300, 48), (500, 84), (1000, 178))],
        *[(0.9, n, w) for n, w in ((100, 4), (200, 12), (300, 21), (500, 38), (1000, 84))],
        *[(0.95, n, w) for n, w in ((100, 1), (200, 4), (300, 8), (500, 16), (1000, 38))],
        (0.8, 14, 0),
        (0.9, 29, 0),
        (0.95, 59, 0),
    ],
)
def test_errors_that_a_promise_bears(precision: float, drawn: int, wrong: int) -> None:
    assert p_value(drawn - wrong, drawn, precision, FINITE) <= 0.05
    assert p_value(drawn - wrong - 1, drawn, precision, FINITE) > 0.05


def test_a_census_needs_no_luck() -> None:
    assert p_value(90, 100, 0.9, 100) == 0.0  # all were drawn and 90 are right: it is so
    assert p_value(89, 100, 0.9, 100) == 1.0
    assert p_value(90, 95, 0.9, 100) < p_value(90, 95, 0.9, FINITE)


def test_a_stratum_that_was_drawn_whole_is_known() -> None:
    right, drawn = np.array([50, 10]), np.array([50, 20])
    whole = Level(threshold=0.5, right=right, drawn=drawn, population=drawn)
    assert (whole.lower(0.05), whole.upper(0.05)) == pytest.approx((60 / 70, 60 / 70))
    assert whole.passes(60 / 70, 0.05)
    part = Level(threshold=0.5, right=right, drawn=drawn, population=np.array([900, 20]))
    bound = lower_bound(50, 50, 0.05)  # all of the error is the other stratum's
    assert part.lower(0.05) == pytest.approx((900 * bound + 10) / 920)


def test_strata_are_bound_alone_and_weighted_by_their_labels() -> None:
    level = Level(
        threshold=0.5,
        right=np.array([50, 10]),
        drawn=np.array([50, 20]),
        population=np.array([900, 100]),
    )
    each = [lower_bound(50, 50, 0.025), lower_bound(10, 20, 0.025)]
    assert level.lower(0.05) == pytest.approx(0.9 * each[0] + 0.1 * each[1])
    assert level.estimate() == pytest.approx(0.9 * 1.0 + 0.1 * 0.5)
    assert level.lower(0.05) < level.estimate() < level.upper(0.05)
    unseen = Level(
        threshold=0.5,
        right=np.array([50, 0]),
        drawn=np.array([50, 0]),
        population=np.array([500, 500]),
    )
    assert unseen.lower(0.05) < 0.5  # of what was not looked at nothing is known
