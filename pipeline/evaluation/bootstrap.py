"""Confidence intervals by the bootstrap over images: boxes of one image are not independent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

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
    return drawn_interval(float(top.sum() / bottom.sum()), np.concatenate(drawn))


def drawn_interval(value: float, drawn: ArrayLike, *, is_biased: bool = False) -> Interval:
    """The interval of a figure from its values on drawn images; NaN bounds without any.

    is_biased: The figure is systematically other on drawn images than on all: a mean of average
        precisions rises, because a rare category is either missing or there several times over.
        Then the interval is moved by the difference of the drawn median to the value (Efron and
        Tibshirani, An Introduction to the Bootstrap, 1993, chapter 10).
    """
    values = np.asarray(drawn, dtype=np.float64)
    values = values[np.isfinite(values)]
    if not len(values):
        return Interval(value, float("nan"), float("nan"))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    if is_biased:
        bias = float(np.median(values)) - value
        low, high = max(0.0, float(low) - bias), min(1.0, float(high) - bias)
    return Interval(value, float(low), float(high))
