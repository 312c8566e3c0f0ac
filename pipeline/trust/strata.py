"""Groups of labels that a sample draws from evenly: score bands, frequent and rare nouns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pipeline.curation.label_stats import TopCounter
from pipeline.curation.rules.policy import FilterPolicy
from pipeline.run.map_units import Mapper
from pipeline.run.store import RunStore
from pipeline.trust.population import Labels, unit_labels
from pipeline.trust.promise import threshold_grid
from schemas.plan import UnitCommit

STRATA = ("score", "phrase")
SCORE_BANDS = 3
"""Equal bands between the policy's threshold and 1."""
PHRASE_BANDS = ("common", "less common", "rare")
"""Thirds of the labels, by how frequent their head noun is."""


@dataclass(frozen=True, kw_only=True)
class Bands:
    """Which stratum a label is of."""

    grid: NDArray[np.float64]
    edges: NDArray[np.float64]
    """Of score bands, without the ends; empty: one band."""
    nouns: dict[str, int] | None
    """Head noun -> band; rare where it is not named. None: one band."""
    names: tuple[str, ...]

    @property
    def number(self) -> int:
        return len(self.names)

    def of(self, labels: Labels) -> NDArray[np.int64]:
        """[L]"""
        found = np.searchsorted(self.edges, labels.level.astype(np.float64), side="left")
        if self.nouns is not None:
            last = len(PHRASE_BANDS) - 1
            band = np.array([self.nouns.get(noun, last) for noun in labels.nouns()], np.int64)
            found = found * len(PHRASE_BANDS) + band.reshape(-1)
        return np.asarray(found, dtype=np.int64)


def make_bands(
    run: RunStore,
    policy: FilterPolicy,
    strata: Sequence[str],
    commits: Sequence[UnitCommit],
    mapper: Mapper,
    pool: int,
) -> Bands:
    floor = lowest_threshold(policy)
    edges = np.zeros(0)
    names = ["all labels"]
    if "score" in strata:
        ends = np.linspace(floor, 1, SCORE_BANDS + 1).round(4)
        edges = ends[1:-1]
        names = [f"score {a:g} to {b:g}" for a, b in pairwise(ends)]
    nouns = None
    if "phrase" in strata:
        counter = TopCounter()
        for part in mapper(run, _count_nouns, commits, policy, workers=pool):
            counter.add(part)
        nouns = _noun_bands(counter)
        names = [f"{name}, {band} nouns" for name in names for band in PHRASE_BANDS]
    return Bands(grid=threshold_grid(floor), edges=edges, nouns=nouns, names=tuple(names))


def lowest_threshold(policy: FilterPolicy) -> float:
    """Below it the policy keeps no label, whatever its phrase."""
    own = (*policy.class_thresholds.values(), *policy.phrase_thresholds.values())
    return min((policy.score_threshold, *own))


def _noun_bands(counter: TopCounter) -> dict[str, int]:
    ranked = counter.top(len(counter))
    total = sum(number for _, number in ranked)
    bands, before = {}, 0
    for noun, number in ranked:
        bands[noun] = min(len(PHRASE_BANDS) * before // max(total, 1), len(PHRASE_BANDS) - 1)
        before += number
    return bands


def _count_nouns(run: RunStore, policy: FilterPolicy, commit: UnitCommit) -> Counter[str]:
    counts: Counter[str] = Counter()
    for labels in unit_labels(run, policy, commit):
        counts.update(labels.nouns())
    return counts


def count_above(
    grid: NDArray[np.float64],
    level: NDArray[np.float32],
    stratum: NDArray[np.int64],
    strata: int,
) -> NDArray[np.int64]:
    """Labels with a greater level than each threshold, by stratum [T, S]."""
    found = np.zeros((len(grid), strata), np.int64)
    ascending = np.sort(grid.astype(np.float32))
    # Of thresholds below a level there are as many as `side="left"` says.
    below = np.searchsorted(ascending, level, side="left")
    for number in range(strata):
        counts = np.bincount(below[stratum == number], minlength=len(grid) + 1)
        # Threshold i (ascending) is exceeded by levels with more than i thresholds below them.
        found[:, number] = counts[::-1].cumsum()[:-1]
    return found
