"""The promise is kept in at least as many runs as it says, whatever the errors look like."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import binomtest

from pipeline.trust.bounds import Level, interval
from pipeline.trust.promise import Promise, find_promise, levels_of, threshold_grid
from tests.pipeline.trust.simulated import FLOOR, World, make_world

SEEDS = 200
SIZE = 300
GRID = threshold_grid(FLOOR)


def drawn_levels(
    world: World, seed: int, *, bands: int = 1, keep: np.ndarray | None = None
) -> list[Level]:
    """Levels of a draw of 300; `keep`: a stricter policy, applied after the draw."""
    dice = np.random.default_rng([seed, 1])
    edges = np.linspace(FLOOR, 1, bands + 1)[1:-1]
    stratum = np.searchsorted(edges, world.score)
    chosen = np.concatenate(
        [
            dice.choice(np.flatnonzero(stratum == number), SIZE // bands, replace=False)
            for number in range(bands)
        ]
    )
    stays = np.ones(len(world.score), bool) if keep is None else keep
    chosen = chosen[stays[chosen]]
    population = np.array(
        [np.bincount(stratum[stays & (world.score > np.float32(t))], minlength=bands) for t in GRID]
    )
    return levels_of(
        GRID,
        population,
        level=world.score[chosen],
        stratum=stratum[chosen],
        right=world.right[chosen],
    )


def is_kept(world: World, threshold: float | None, precision: float) -> bool:
    return threshold is None or world.precision_above(threshold) >= precision


def share_kept(kept: list[bool]) -> None:
    """An exact test whether 0.95 of the runs keep the promise, with an error of its own of 1 %."""
    assert binomtest(sum(kept), len(kept), 0.95, alternative="less").pvalue > 0.01, np.mean(kept)


@pytest.mark.slow
@pytest.mark.parametrize("precision", [0.8, 0.9])
@pytest.mark.parametrize("clustered, bands", [(False, 1), (True, 1), (False, 3), (True, 3)])
def test_the_promise_is_kept(precision: float, clustered: bool, bands: int) -> None:
    kept, share, off = [], [], []
    for seed in range(SEEDS):
        world = make_world(seed, clustered=clustered)
        levels = drawn_levels(world, seed, bands=bands)
        found = find_promise(levels, precision)
        kept.append(is_kept(world, found.threshold, precision))
        ideal = max(
            (
                int((world.score > np.float32(t)).sum())
                for t in GRID
                if world.precision_above(t) >= precision
            ),
            default=0,
        )
        share.append(found.labels / ideal if ideal else 1.0)
        off.append(levels[-1].estimate() - world.right.mean())
    share_kept(kept)
    assert abs(np.mean(off)) < 0.005  # without bias...
    assert np.quantile(np.abs(off), 0.7) < 0.03  # ...and mostly within three points
    # What caution costs, against an oracle that knows the truth.
    assert np.mean(share) > (0.75 if bands == 1 and precision == 0.8 else 0.1)


@pytest.mark.slow
@pytest.mark.parametrize("clustered", [False, True])
def test_a_stricter_policy_keeps_the_promise_with_what_stays(clustered: bool) -> None:
    kept = []
    for seed in range(SEEDS):
        world = make_world(seed, clustered=clustered)
        # A rule that does not look at verdicts: it drops two images of three.
        stays = world.image % 3 == 0
        found = find_promise(drawn_levels(world, seed, keep=stays), 0.8)
        strict = World(score=world.score[stays], image=world.image[stays], right=world.right[stays])
        kept.append(is_kept(strict, found.threshold, 0.8))
    share_kept(kept)


def by_eye(levels: list[Level], precision: float) -> float | None:
    """The wrong way: the loosest threshold whose estimate is good enough."""
    good = [one.threshold for one in levels if one.drawn.sum() and one.estimate() >= precision]
    return min(good, default=None)


def by_quoted_interval(levels: list[Level], precision: float) -> float | None:
    """Better, and still wrong: the loosest whose own interval begins above, over all thresholds."""
    good = [
        one.threshold
        for one in levels
        if interval(int(one.right.sum()), int(one.drawn.sum()), 0.9)[0] >= precision
    ]
    return min(good, default=None)


@pytest.mark.slow
@pytest.mark.parametrize("way", [by_eye, by_quoted_interval])
def test_picking_and_quoting_breaks_the_promise(
    way: Callable[[list[Level], float], float | None],
) -> None:
    """Precision that goes up and down with the score, so that luck finds a peak somewhere."""
    kept, ours = [], []
    for seed in range(SEEDS):
        flat = make_world(seed)
        dice = np.random.default_rng([seed, 2])
        # All scores alike, a little below what is asked for: no threshold is good enough.
        world = World(
            score=flat.score, image=flat.image, right=dice.random(len(flat.score)) < 0.897
        )
        levels = drawn_levels(world, seed)
        kept.append(is_kept(world, way(levels, 0.9), 0.9))
        ours.append(is_kept(world, find_promise(levels, 0.9).threshold, 0.9))
    share_kept(ours)
    assert np.mean(kept) < 0.9  # not 0.95


def made(rows: list[tuple[float, int, int, int]]) -> list[Level]:
    return [
        Level(threshold=t, right=np.array([r]), drawn=np.array([n]), population=np.array([p]))
        for t, r, n, p in rows
    ]


def test_none_qualifies_and_it_says_what_could_be_promised() -> None:
    found = find_promise(made([(0.9, 60, 100, 10**6), (0.5, 110, 200, 10**7)]), 0.9)
    assert found.threshold is None
    assert found.labels == 0
    assert found.drawn == 100
    assert found.possible == pytest.approx(0.513, abs=0.001)


def test_it_stops_at_the_first_failure_even_if_a_looser_one_would_pass() -> None:
    levels = made([(0.9, 100, 100, 10**6), (0.8, 150, 200, 10**7), (0.7, 395, 400, 10**8)])
    found = find_promise(levels, 0.9)
    assert (found.threshold, found.labels) == (0.9, 10**6)


def test_too_few_to_say_anything() -> None:
    found = find_promise(made([(0.5, 20, 20, 10**6)]), 0.9)  # 29 would be needed
    assert isinstance(found, Promise)
    assert found.threshold is None
    small = find_promise(made([(0.5, 30, 30, 10**6)]), 0.9)  # bears no error, and has none
    assert small.threshold == 0.5
    assert find_promise([], 0.9).threshold is None


def test_a_grid_is_from_strict_to_loose_and_ends_at_the_floor() -> None:
    grid = threshold_grid(0.5)
    assert (grid[0], grid[-2], grid[-1]) == (0.99, 0.51, 0.5)
    assert (np.diff(grid) < 0).all()
    assert threshold_grid(0.995).tolist() == [0.995]
