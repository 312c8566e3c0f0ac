"""From judged labels to a calibration: promises, the curve, reliability, a map of scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.curation.calibration import (
    Calibration,
    base_policy,
)
from pipeline.curation.rules.policy import FilterPolicy
from pipeline.curation.standing_words import words_id
from pipeline.layers.columns import require_columns
from pipeline.run.store import RunStore
from pipeline.trust.audit_sample import AuditSample, is_of
from pipeline.trust.calibration_figures import PRECISIONS, JudgedLabels, make_calibration
from pipeline.trust.population import unit_labels
from pipeline.trust.promise import threshold_grid
from pipeline.trust.strata import count_above, lowest_threshold
from pipeline.trust.verdicts import Judged, Truth, judge
from schemas.errors import ConfigError
from schemas.records import Decision


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
    if sample.annotations_id != run.annotations_id():
        raise ConfigError(
            f"audit {sample.audit_id} was drawn from other annotations (teacher "
            f"{', '.join(sample.teachers)}): the teacher, the run or its floor is another, or "
            "there are more units since. It says nothing about these labels; draw a new one"
        )
    wider = FilterPolicy(**_tuples(sample.policy))
    if sample.layers_id != require_columns(run, wider.layer_columns()):
        raise ConfigError(
            f"audit {sample.audit_id} was drawn with other layers ({sample.layers_id}) than the "
            "run has now: its policy keeps other labels now; draw a new one"
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
            + _carried(sample, judged, decisions)
        )
    policy = base_policy(policy)
    labels, keep = _audited(run, sample, policy, judged)
    drawn = [(one.record_id, one.box_id) for one in sample.drawn]
    keys = tuple(key for key, stays in zip(drawn, keep, strict=True) if stays)
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
        keys=keys,
        words_id=words_id(keys, decisions),
    )


def _carried(sample: AuditSample, judged: Judged, decisions: Sequence[Decision]) -> str:
    """Where a drawn label looks judged in review and is not."""
    keys = {(one.record_id, one.box_id) for one in decisions if one.carried_from}
    number = sum(
        truth is Truth.MISSING and (one.record_id, one.box_id) in keys
        for one, truth in zip(sample.drawn, judged.truths, strict=True)
    )
    if not number:
        return ""
    return f". {number} have one of another run (--carry), which judged that run's box: judge again"


def _audited(
    run: RunStore, sample: AuditSample, policy: FilterPolicy, judged: Judged
) -> tuple[JudgedLabels, NDArray[np.bool_]]:
    """The judged labels of a policy, and which of the drawn ones they are."""
    grid, population = np.array(sample.grid), np.array(sample.population)
    level = np.array([one.level for one in sample.drawn])
    keep = np.ones(len(sample.drawn), dtype=bool)
    if not is_of(sample, policy):
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
