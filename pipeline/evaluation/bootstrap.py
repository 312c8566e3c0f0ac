"""Confidence intervals by the bootstrap over images: boxes of one image are not independent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

RESAMPLES = 1000
CONFIDENCE = 0.95
_CHUNK = 64


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its 95 % confidence interval; all NaN where there was nothing to measure."""

    value: float
    low: float
    high: float


NOTHING = Interval(float("nan"), float("nan"), float("nan"))


def ratio_interval(
    numerators: ArrayLike,
    denominators: ArrayLike,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """sum(numerators) / sum(denominators), both [num_images], with images drawn anew."""
    top = np.asarray(numerators, dtype=np.float64)
    bottom = np.asarray(denominators, dtype=np.float64)
    if bottom.sum() == 0:
        return NOTHING
    generator = np.random.default_rng(seed)
    shares = np.full(len(top), 1 / len(top))
    drawn = []
    for start in range(0, resamples, _CHUNK):
        times = generator.multinomial(len(top), shares, size=min(_CHUNK, resamples - start))
        sums = times @ bottom
        drawn.append(np.divide(times @ top, sums, out=np.full(len(sums), np.nan), where=sums > 0))
    return _interval(float(top.sum() / bottom.sum()), np.concatenate(drawn))


def resampled_interval(
    value: float,
    num_images: int,
    measure: Callable[[NDArray[np.int64]], float],
    *,
    resamples: int,
    seed: int = 0,
) -> Interval:
    """The interval of a figure that is not a ratio: `measure` gets the drawn image numbers."""
    if num_images == 0 or resamples == 0:
        return Interval(value, float("nan"), float("nan"))
    generator = np.random.default_rng(seed)
    drawn = [measure(generator.integers(0, num_images, size=num_images)) for _ in range(resamples)]
    return _interval(value, np.asarray(drawn))


def _interval(value: float, drawn: NDArray[np.float64]) -> Interval:
    drawn = drawn[np.isfinite(drawn)]
    if not len(drawn):
        return Interval(value, float("nan"), float("nan"))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return Interval(value, float(low), float(high))
