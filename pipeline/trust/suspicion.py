"""How signs become a chance of being wrong: fixed weights, or learnt from verdicts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.curation.calibration import Calibration
from pipeline.curation.rules.policy import FilterPolicy
from pipeline.run.store import RunStore
from pipeline.trust.population import Labels, unit_labels
from pipeline.trust.signals import (
    SIGNS,
    Floats,
    signals,
)
from pipeline.trust.usual import Usual
from schemas.records import Decision, Verdict

WEIGHTS = dict(zip(SIGNS, (2.0, 2.5, 3.0, 2.0, 2.0, 2.0, 2.0, 3.0), strict=True))
"""Log-odds of being wrong for each sign at its full strength, where nothing was learnt."""
PRIOR = -3.0
MIN_JUDGED, MIN_WRONG = 60, 12
"""Fewer verdicts than these teach nothing that fixed weights do not know better."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """How signs become a chance of being wrong."""

    weights: NDArray[np.float64]
    """[len(SIGNS)]"""
    bias: float
    judged: int
    """Verdicts that it was learnt from; 0: fixed weights."""
    columns: tuple[str, ...] = ()
    """Columns of layers that were read."""
    notes: tuple[str, ...] = ()
    """Why others were not."""

    def __call__(self, values: Floats) -> Floats:
        """[L]"""
        return np.asarray(1 / (1 + np.exp(-(values @ self.weights + self.bias))))


def fixed_judge() -> Judge:
    """The one that learnt nothing."""
    weights = np.array([WEIGHTS[sign] for sign in SIGNS])
    return Judge(weights=weights, bias=PRIOR, judged=0)


def chance_of(labels: Labels, calibration: Calibration | None) -> Floats:
    """Of being right by the score: the calibrated one where there is one."""
    level = labels.level.astype(np.float64)
    if calibration is None or len(calibration.scores) < 2:
        return level
    return np.interp(level, calibration.scores, calibration.probabilities)


def last_verdicts(decisions: Iterable[Decision]) -> dict[tuple[str, str], bool]:
    """(record_id, box_id) -> right, by the last word about it."""
    found: dict[tuple[str, str], bool] = {}
    for one in sorted(decisions, key=lambda d: (d.decided_at, d.decision_id)):
        if one.verdict in (Verdict.KEEP, Verdict.DROP):
            found[one.record_id, one.box_id] = one.verdict == Verdict.KEEP
        elif one.verdict == Verdict.EDIT:
            found[one.record_id, one.box_id] = False  # it had to be mended
        elif one.verdict == Verdict.OPEN:
            found.pop((one.record_id, one.box_id), None)
    return found


def learn(
    run: RunStore,
    policy: FilterPolicy,
    calibration: Calibration | None,
    usual: Usual,
    columns: Sequence[str],
    verdicts: Mapping[tuple[str, str], bool],
) -> Judge:
    """Logistic regression on the signs of judged labels; fixed weights of too few."""
    records = {record_id for record_id, _ in verdicts}
    values, wrong = [], []
    for commit in run.commits().values():
        for labels in unit_labels(run, policy, commit, also=columns):
            ids = labels.table.column("record_id").to_pylist()
            if records.isdisjoint(ids):
                continue
            found = signals(labels, chance_of(labels, calibration), usual)
            for place, key in label_keys(labels):
                if key in verdicts:
                    values.append(found.values[place])
                    wrong.append(not verdicts[key])
    if len(wrong) < MIN_JUDGED or not MIN_WRONG <= sum(wrong) <= len(wrong) - MIN_WRONG:
        return fixed_judge()
    from sklearn.linear_model import LogisticRegression

    fit = LogisticRegression(C=10.0, max_iter=1000).fit(np.array(values), np.array(wrong))
    return Judge(weights=fit.coef_[0], bias=float(fit.intercept_[0]), judged=len(wrong))


def label_keys(labels: Labels) -> Iterable[tuple[int, tuple[str, str]]]:
    box_ids = labels.table.column("boxes").combine_chunks().flatten().field("box_id")
    own = box_ids.take(pa.array(labels.index)).to_pylist()
    record_ids = labels.table.column("record_id").to_pylist()
    rows = labels.candidates.row_of[labels.index].tolist()
    return enumerate((record_ids[row], box_id) for row, box_id in zip(rows, own, strict=True))
