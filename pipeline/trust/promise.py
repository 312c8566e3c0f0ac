"""The smallest threshold whose precision can be promised: fixed-sequence testing.

After Angelopoulos, Bates, Candes, Jordan and Lei, Learn then Test (2021), section 3: thresholds are
tested from strict to loose, in an order that no verdict has a say in; the first that fails ends it.
The chance that the answer breaks the promise is then that of one test, without any correction.

Looking at the curve, picking a threshold and quoting its interval is the mistake that this avoids.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.trust.bounds import Level

GRID_STEP = 0.01
FIRST_ERRORS = 4
"""The first threshold that is tested must be able to pass with so many wrong labels, or with as
many as the whole sample can bear: a rule about how many were drawn, not about what they are.
Testing sooner loses more promises than it wins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """Among all labels of a run above `threshold` at least `precision` are right, with
    `confidence` over the draw; or that this cannot be said."""

    precision: float
    confidence: float
    threshold: float | None
    """Labels with a greater level; None: no threshold qualifies."""
    labels: int
    """Labels of the run above it, 0 without one."""
    drawn: int
    right: int
    possible: float
    """Without a threshold: what could be promised of the labels where the test began."""


def threshold_grid(floor: float) -> NDArray[np.float64]:
    """Thresholds from strict to loose, down to the policy's own; fixed before any verdict."""
    steps = np.arange(0.99, floor + GRID_STEP / 2, -GRID_STEP).round(4)
    return np.append(steps, floor)


def levels_of(
    grid: NDArray[np.float64],
    population: NDArray[np.int64],
    *,
    level: NDArray[np.floating],
    stratum: NDArray[np.int64],
    right: NDArray[np.bool_],
) -> list[Level]:
    """The labels above each threshold.

    Args:
        grid: [T], from strict to loose.
        population: [T, S], labels of the run above each threshold, by stratum.
        level: [n], of the drawn labels: the greatest threshold below which each stays.
        stratum: [n], from 0.
        right: [n].
    """
    strata = population.shape[1]
    found = []
    for threshold, labels in zip(grid, population, strict=True):
        # As float32, in which scores are stored and compared.
        above = level.astype(np.float32) > np.float32(threshold)
        found.append(
            Level(
                threshold=float(threshold),
                right=np.bincount(stratum[above & right], minlength=strata),
                drawn=np.bincount(stratum[above], minlength=strata),
                population=labels,
            )
        )
    return found


def find_promise(levels: Sequence[Level], precision: float, confidence: float = 0.95) -> Promise:
    """The loosest threshold that the test reaches.

    Args:
        levels: from strict to loose, of a grid that was fixed beforehand.
        precision: what is to be promised.
        confidence: over the draw of the sample.
    """
    error = 1 - confidence
    bearable = [e for e in range(FIRST_ERRORS, -1, -1) if _any(levels, precision, error, e)]
    first = bearable[0] if bearable else 0
    best: Level | None = None
    begun: Level | None = None
    for level in levels:
        if begun is None and not level.could_pass(precision, error, first):
            continue
        begun = begun or level
        if not level.passes(precision, error):
            break
        best = level
    shown = best or begun or (levels[-1] if levels else None)
    return Promise(
        precision=precision,
        confidence=confidence,
        threshold=None if best is None else best.threshold,
        labels=0 if best is None else int(best.population.sum()),
        drawn=0 if shown is None else int(shown.drawn.sum()),
        right=0 if shown is None else int(shown.right.sum()),
        possible=0.0 if shown is None else shown.lower(error),
    )


def _any(levels: Sequence[Level], precision: float, error: float, wrong: int) -> bool:
    return any(level.could_pass(precision, error, wrong) for level in reversed(levels))
