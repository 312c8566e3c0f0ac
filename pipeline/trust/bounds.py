"""Exact bounds for a share that a sample was drawn for, without any assumption about its labels.

Of a fixed population a simple random sample without replacement is hypergeometric, whatever
depends on what in it: boxes of one image may be right or wrong together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, binom, hypergeom

Ints = NDArray[np.int64]
SMALL = 100
"""A population of fewer labels than so many times the sample is tested as the finite one it is."""


def interval(right: int, drawn: int, confidence: float = 0.95) -> tuple[float, float]:
    """Clopper and Pearson's two-sided interval (1934) for a share; (0, 1) of nothing drawn."""
    tail = (1 - confidence) / 2
    return lower_bound(right, drawn, tail), 1 - lower_bound(drawn - right, drawn, tail)


def lower_bound(right: int, drawn: int, error: float) -> float:
    """Clopper and Pearson's one-sided bound: above the true share in at most `error` of draws."""
    return float(beta.ppf(error, right, drawn - right + 1)) if right else 0.0


def p_value(right: int, drawn: int, precision: float, population: int) -> float:
    """The chance of as many right labels or more where the precision is below `precision`.

    Args:
        right: right ones among the drawn.
        drawn: how many were drawn.
        precision: what is to be promised.
        population: how many labels they were drawn from.
    """
    if population < SMALL * drawn:
        # The most right labels that a population can have and yet miss the promise.
        most = int(np.ceil(precision * population - 1e-9)) - 1
        return float(hypergeom.sf(right - 1, population, most, drawn))
    return float(binom.sf(right - 1, drawn, precision))


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """The labels above one threshold: what was drawn of them, and how many there are."""

    threshold: float
    right: Ints
    """[S], right ones among the drawn, by stratum."""
    drawn: Ints
    """[S]"""
    population: Ints
    """[S], labels of the run."""

    def passes(self, precision: float, error: float) -> bool:
        """True where "the precision is below `precision`" is refuted, wrongly in at most `error`
        of draws."""
        return (
            self.lower(error) >= precision - 1e-9
            if len(self.drawn) > 1
            else self._p(precision) <= error
        )

    def could_pass(self, precision: float, error: float, wrong: int) -> bool:
        """Whether it would pass with so many wrong labels: this does not look at verdicts."""
        # The wrong ones where they hurt most: in the stratum with the greatest weight a draw.
        right = self.drawn.copy()
        if len(right) and right.sum() > wrong:
            weight = self.population / np.maximum(self.drawn, 1)
            for stratum in np.argsort(-weight):
                taken = min(wrong, int(right[stratum]))
                right[stratum] -= taken
                wrong -= taken
        ideal = Level(
            threshold=self.threshold, right=right, drawn=self.drawn, population=self.population
        )
        return wrong == 0 and ideal.passes(precision, error)

    def lower(self, error: float) -> float:
        """A bound below the precision of all strata together, too high in at most `error` of
        draws: each stratum alone at its share of the error, weighted by its labels. A stratum
        that was drawn whole is known, and takes no share: that does not look at verdicts."""
        total = int(self.population.sum())
        inside = np.flatnonzero(self.population)
        if not len(inside):
            return 0.0
        open_strata = int((self.drawn[inside] < self.population[inside]).sum())
        each = error / max(open_strata, 1)
        bounds = [
            lower_bound(int(self.right[s]), int(self.drawn[s]), each)
            if self.drawn[s] < self.population[s]
            else self.right[s] / self.drawn[s]
            for s in inside
        ]
        return float(np.dot(bounds, self.population[inside]) / total)

    def upper(self, error: float) -> float:
        """Likewise above it."""
        wrong = Level(
            threshold=self.threshold,
            right=self.drawn - self.right,
            drawn=self.drawn,
            population=self.population,
        )
        return 1 - wrong.lower(error) if self.population.any() else 1.0

    def interval(self, confidence: float) -> tuple[float, float]:
        """Around the precision, of this threshold alone."""
        if len(self.drawn) == 1:
            return interval(int(self.right.sum()), int(self.drawn.sum()), confidence)
        error = (1 - confidence) / 2
        return self.lower(error), self.upper(error)

    def estimate(self) -> float:
        """The precision, each drawn label weighted by what it stands for; NaN of nothing drawn."""
        seen = self.drawn > 0
        if not seen.any():
            return float("nan")
        shares = self.right[seen] / self.drawn[seen]
        return float(np.average(shares, weights=np.maximum(self.population[seen], 1e-9)))

    def _p(self, precision: float) -> float:
        return p_value(
            int(self.right.sum()), int(self.drawn.sum()), precision, int(self.population.sum())
        )
