"""From judged labels to a calibration: promises, the curve, reliability, a map of scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.curation.calibration import (
    Calibration,
    ClassPrecision,
    CurvePoint,
    ReliabilityBin,
    StatedPromise,
    base_policy,
)
from pipeline.curation.policy import FilterPolicy
from pipeline.run.open import annotations_id
from pipeline.run.store import RunStore
from pipeline.trust.audit import AuditSample, count_above, lowest_threshold
from pipeline.trust.bounds import Level
from pipeline.trust.population import unit_labels
from pipeline.trust.promise import find_promise, levels_of, threshold_grid
from pipeline.trust.verdicts import Judged, Truth, judge
from schemas.checked import to_plain
from schemas.errors import ConfigError
from schemas.records import Decision

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


def calibrate_audit(
    run: RunStore,
    sample: AuditSample,
    policy: FilterPolicy,
    decisions: Sequence[Decision],
    *,
    precisions: Sequence[float] = PRECISIONS,
    confidence: float = 0.95,
    missing_is_wrong: bool = False,
) -> Calibration:
    """What an audit says about a policy: the one that it was drawn for, or a stricter one.

    A stricter policy keeps only labels that the audit could draw; the part of the sample that
    stays is then a sample of what stays, and everything is counted again.

    Raises:
        ConfigError: the run has other annotations than those that were drawn from, the policy
            keeps labels that could not be drawn, labels have no verdict or a disputed one.
    """
    if sample.annotations_id != annotations_id(run):
        raise ConfigError(
            f"audit {sample.audit_id} was drawn from other annotations (teacher "
            f"{', '.join(sample.teachers)}): another teacher, run, floor, or more units since. It "
            "says nothing about these labels; draw a new one"
        )
    judged = judge(sample.drawn, decisions)
    if judged.disputed:
        first = judged.disputed[0]
        raise ConfigError(
            f"{len(judged.disputed)} drawn labels are disputed between reviewers, first "
            f"{first.box_id!r} ({first.phrase!r}): they must agree before anything is promised"
        )
    missing = sum(truth is Truth.MISSING for truth in judged.truths)
    if missing and not missing_is_wrong:
        raise ConfigError(
            f"{missing} of {len(sample.drawn)} drawn labels have no verdict yet: judge them and "
            "pull (glipforge review pull), or count them as wrong with --missing-is-wrong"
        )
    policy = base_policy(policy)
    labels, keep = _audited(run, sample, policy, judged)
    truths = [truth for truth, stays in zip(judged.truths, keep, strict=True) if stays]
    return make_calibration(
        labels,
        run=run,
        policy=policy,
        teachers=sample.teachers,
        source=f"audit {sample.audit_id}",
        method="simple random sample" if sample.is_simple else "stratified sample",
        run_labels=int(labels.population[-1].sum()),
        precisions=precisions,
        confidence=confidence,
        unsure=truths.count(Truth.UNSURE),
        missing=truths.count(Truth.MISSING),
        judged=judged,
    )


def _audited(
    run: RunStore, sample: AuditSample, policy: FilterPolicy, judged: Judged
) -> tuple[JudgedLabels, NDArray[np.bool_]]:
    """The judged labels of a policy, and which of the drawn ones they are."""
    grid, population = np.array(sample.grid), np.array(sample.population)
    level = np.array([one.level for one in sample.drawn])
    keep = np.ones(len(sample.drawn), dtype=bool)
    if policy.policy_id != sample.policy_id:
        grid = threshold_grid(lowest_threshold(policy))
        population, level = _recount(run, sample, policy, grid)
        keep = ~np.isnan(level)
    found = JudgedLabels(
        level=level[keep],
        right=np.array([truth is Truth.RIGHT for truth in judged.truths], bool)[keep],
        stratum=np.array([one.stratum for one in sample.drawn], np.int64)[keep],
        nouns=tuple(one.noun for one, stays in zip(sample.drawn, keep, strict=True) if stays),
        grid=grid,
        population=population,
    )
    return found, keep


def _recount(
    run: RunStore, sample: AuditSample, policy: FilterPolicy, grid: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Labels of a stricter policy above each threshold [T, 1], and the drawn labels' levels under
    it, NaN where it drops them."""
    if not sample.is_simple:
        raise ConfigError(
            f"audit {sample.audit_id} is stratified for policy {sample.policy_id}; for "
            f"{policy.policy_id} draw one of its own"
        )
    wider = FilterPolicy(**_tuples(sample.policy))
    places = {(one.record_id, one.box_id): n for n, one in enumerate(sample.drawn)}
    units = {one.unit_id for one in sample.drawn}
    level = np.full(len(sample.drawn), np.nan)
    population = np.zeros((len(grid), 1), np.int64)
    for commit in run.commits().values():
        for labels, could in zip(
            unit_labels(run, policy, commit), unit_labels(run, wider, commit), strict=True
        ):
            outside = np.setdiff1d(labels.index, could.index)
            if len(outside):
                raise ConfigError(
                    f"policy {policy.policy_id} keeps labels that audit {sample.audit_id} of "
                    f"{sample.policy_id} could not draw ({len(outside)} in unit "
                    f"{commit.unit_id!r}): it is not stricter, draw an audit of its own"
                )
            stratum = np.zeros(len(labels), np.int64)
            population += count_above(grid, labels.level, stratum, 1)
            if commit.unit_id not in units:
                continue
            box_ids = labels.table.column("boxes").combine_chunks().flatten().field("box_id")
            record_ids = labels.table.column("record_id").to_pylist()
            rows = labels.candidates.row_of[labels.index].tolist()
            for index, row, own in zip(labels.index, rows, labels.level, strict=True):
                place = places.get((record_ids[row], box_ids[int(index)].as_py()))
                if place is not None:
                    level[place] = own
    return population, level


def _tuples(plain: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(v) if isinstance(v, list) else v for key, v in plain.items()}


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
        annotations_id=annotations_id(run),
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


def _mean(values: NDArray, weights: NDArray[np.float64]) -> float | None:
    return float(np.average(values, weights=weights)) if len(values) else None
