"""Everything that judged labels say: promises, the curve, reliability, a map of scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.curation.agreement import Key
from pipeline.curation.calibration import (
    Calibration,
    ClassPrecision,
    CurvePoint,
    ReliabilityBin,
    StatedPromise,
)
from pipeline.curation.rules.policy import FilterPolicy
from pipeline.layers.columns import require_columns
from pipeline.run.store import RunStore
from pipeline.trust.bounds import Level
from pipeline.trust.promise import find_promise, levels_of
from pipeline.trust.verdicts import Judged
from schemas.checked import to_plain
from schemas.errors import ConfigError

PRECISIONS = (0.8, 0.9, 0.95)
NUM_BINS = 10
CLASS_PRIOR = 10.0
"""A class's precision is drawn towards that of all labels as if so many more had been seen."""
NUM_CLASSES = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedLabels:
    """Drawn labels and the population that they stand for, ready to be calibrated."""

    level: NDArray[np.float64]
    """[n]"""
    right: NDArray[np.bool_]
    """[n]; false where nobody could tell."""
    stratum: NDArray[np.int64]
    """[n]"""
    nouns: tuple[str, ...]
    """[n]"""
    grid: NDArray[np.float64]
    """[T], from strict to loose."""
    population: NDArray[np.int64]
    """[T, S], labels above each threshold; the last row holds all."""
    recall: NDArray[np.float64] | None = None
    """[T], of what gold names; None where only boxes were judged."""

    @property
    def weight(self) -> NDArray[np.float64]:
        """[n], labels of the population that each drawn one stands for."""
        drawn = np.bincount(self.stratum, minlength=self.population.shape[1])
        return np.asarray((self.population[-1] / np.maximum(drawn, 1))[self.stratum])


def make_calibration(
    labels: JudgedLabels,
    *,
    run: RunStore,
    policy: FilterPolicy,
    teachers: tuple[str, ...],
    source: str,
    method: Literal["simple random sample", "stratified sample", "gold"],
    run_labels: int,
    precisions: Sequence[float] = PRECISIONS,
    confidence: float = 0.95,
    unsure: int = 0,
    missing: int = 0,
    judged: Judged | None = None,
    keys: tuple[Key, ...] = (),
    words_id: str = "",
) -> Calibration:
    """Everything that judged labels say.

    Raises:
        ConfigError: nothing was judged, or a share that is not allowed.
    """
    for name, share in (*(("precision", p) for p in precisions), ("confidence", confidence)):
        if not 0 < share < 1:
            raise ConfigError(f"{name} must be between 0 and 1, got {share}")
    if not len(labels.level):
        raise ConfigError(f"no drawn label is one that policy {policy.policy_id} keeps")
    levels = levels_of(
        labels.grid,
        labels.population,
        level=labels.level,
        stratum=labels.stratum,
        right=labels.right,
    )
    scores, probabilities = _isotonic(labels)
    bins = _reliability(labels, confidence)
    return Calibration(
        policy_id=policy.policy_id,
        policy=to_plain(policy),
        annotations_id=run.annotations_id(),
        layers_id=require_columns(run, policy.layer_columns()),
        judged=keys,
        words_id=words_id,
        teachers=teachers,
        source=source,
        method=method,
        confidence=confidence,
        population=int(labels.population[-1].sum()),
        run_labels=run_labels,
        drawn=len(labels.level),
        right=int(labels.right.sum()),
        unsure=unsure,
        missing=missing,
        agreement=None if judged is None else judged.agreement,
        twice=0 if judged is None else judged.twice,
        promises=tuple(_stated(levels, p, confidence) for p in sorted(set(precisions))),
        curve=_curve(levels, labels, confidence),
        reliability=bins,
        calibration_error=_calibration_error(labels),
        scores=scores,
        probabilities=probabilities,
        classes=_classes(labels),
    )


def _stated(levels: Sequence[Level], precision: float, confidence: float) -> StatedPromise:
    found = find_promise(levels, precision, confidence)
    at = [one for one in levels if one.threshold == found.threshold]
    low, high = at[0].interval(confidence) if at else (0.0, 1.0)
    return StatedPromise(
        precision=precision,
        confidence=confidence,
        threshold=found.threshold,
        labels=found.labels,
        drawn=found.drawn,
        right=found.right,
        estimate=at[0].estimate() if at else None,
        low=low,
        high=high,
        possible=found.possible,
    )


def _curve(
    levels: Sequence[Level], labels: JudgedLabels, confidence: float
) -> tuple[CurvePoint, ...]:
    points = []
    for number, level in enumerate(levels):
        low, high = level.interval(confidence)
        drawn = int(level.drawn.sum())
        points.append(
            CurvePoint(
                threshold=level.threshold,
                labels=int(level.population.sum()),
                drawn=drawn,
                right=int(level.right.sum()),
                precision=level.estimate() if drawn else None,
                low=low,
                high=high,
                recall=None if labels.recall is None else float(labels.recall[number]),
            )
        )
    return tuple(points)


def _isotonic(labels: JudgedLabels) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Knots of the monotone map from a level to the chance of being right."""
    from sklearn.isotonic import IsotonicRegression

    fit = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
    fit.fit(labels.level, labels.right.astype(float), sample_weight=labels.weight)
    knots = [round(float(x), 6) for x in fit.X_thresholds_]
    return tuple(knots), tuple(round(float(y), 6) for y in fit.y_thresholds_)


def _reliability(labels: JudgedLabels, confidence: float) -> tuple[ReliabilityBin, ...]:
    edges = np.linspace(0, 1, NUM_BINS + 1)
    place = np.clip((labels.level * NUM_BINS).astype(int), 0, NUM_BINS - 1)
    bins = []
    for number in range(NUM_BINS):
        inside = place == number
        drawn = np.bincount(labels.stratum[inside], minlength=labels.population.shape[1])
        right = np.bincount(
            labels.stratum[inside & labels.right], minlength=labels.population.shape[1]
        )
        stands_for = np.bincount(
            labels.stratum[inside],
            weights=labels.weight[inside],
            minlength=labels.population.shape[1],
        )
        level = Level(
            threshold=float(edges[number]),
            right=right,
            drawn=drawn,
            population=stands_for.round().astype(np.int64),
        )
        low, high = level.interval(confidence)
        bins.append(
            ReliabilityBin(
                low_score=round(float(edges[number]), 6),
                high_score=round(float(edges[number + 1]), 6),
                mean_score=_mean(labels.level[inside], labels.weight[inside]),
                drawn=int(drawn.sum()),
                right=int(right.sum()),
                labels=int(level.population.sum()),
                precision=_mean(labels.right[inside], labels.weight[inside]),
                low=low,
                high=high,
            )
        )
    return tuple(bins)


def _calibration_error(labels: JudgedLabels) -> float:
    """Naeini, Cooper and Hauskrecht (2015): mean distance of score and precision over equal bins,
    weighted by labels."""
    place = np.clip((labels.level * NUM_BINS).astype(int), 0, NUM_BINS - 1)
    weight = labels.weight
    gaps = [
        abs(np.average(labels.right[own] - labels.level[own], weights=weight[own]))
        * weight[own].sum()
        for own in (place == number for number in range(NUM_BINS))
        if own.any()
    ]
    return float(sum(gaps) / weight.sum())


def _classes(labels: JudgedLabels) -> tuple[ClassPrecision, ...]:
    whole = float(np.average(labels.right, weights=labels.weight))
    seen: dict[str, list[bool]] = {}
    for noun, right in zip(labels.nouns, labels.right.tolist(), strict=True):
        seen.setdefault(noun, []).append(right)
    ranked = sorted(seen.items(), key=lambda item: (-len(item[1]), item[0]))[:NUM_CLASSES]
    return tuple(
        ClassPrecision(
            noun=noun,
            drawn=len(rights),
            right=sum(rights),
            precision=(sum(rights) + CLASS_PRIOR * whole) / (len(rights) + CLASS_PRIOR),
        )
        for noun, rights in ranked
    )


def _mean(
    values: NDArray[np.float64] | NDArray[np.bool_], weights: NDArray[np.float64]
) -> float | None:
    return float(np.average(values, weights=weights)) if len(values) else None
