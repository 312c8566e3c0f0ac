"""The demo's auditor knows the truth: it judges the drawn labels, and all labels to compare."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from schemas.boxes import pairwise_iou

if TYPE_CHECKING:
    from pipeline.curation.rules.policy import FilterPolicy
    from pipeline.gold.gold_set import GoldSet
    from pipeline.run.store import RunStore

AUDIT_SIZE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditedPrecision:
    """What the sample says, beside what is true of all labels."""

    estimate: float
    low: float
    high: float
    judged: int
    true: float
    labels: int

    def rows(self) -> list[tuple[str, str, str, str]]:
        """For the table of the summary."""
        between = f"{self.low:.3f} - {self.high:.3f}"
        return [
            ("audited precision", f"{self.estimate:.3f}", between, ""),
            ("true precision", f"{self.true:.3f}", "", ""),
        ]

    def sentence(self) -> str:
        """In words."""
        return (
            f"{self.judged} of {self.labels} labels drawn and judged: precision "
            f"{self.estimate:.3f}, interval {self.low:.3f} to {self.high:.3f}.\nThe truth of all "
            f"{self.labels}, which only a drawn world knows: {self.true:.3f}."
        )


def true_labels(run: RunStore, policy: FilterPolicy, gold: GoldSet) -> dict[tuple[str, str], bool]:
    """(record_id, box_id) of every label of a policy -> whether it lies on a box of its phrase.

    A label of a phrase that the world drew nothing for is wrong.
    """
    from pipeline.evaluation.gold_index import GoldIndex, JoinCounts
    from pipeline.evaluation.phrase_recall import HIT_IOU, gold_phrases
    from pipeline.evaluation.run_join import same_phrase
    from pipeline.run.columns import run_tables
    from pipeline.trust.population import table_labels
    from schemas.tables import table_to_annotations

    index, counts = GoldIndex(gold), JoinCounts()
    found: dict[tuple[str, str], bool] = {}
    for table in run_tables(run):
        labels = table_labels(table, policy)
        rows = table_to_annotations(table)
        starts = labels.candidates.box_offsets
        boxes_of: dict[int, dict[int, Any]] = {}
        for number in labels.candidates.row_of[labels.index].tolist():
            if number not in boxes_of:
                match = index.find(rows[number], counts)
                places = {}
                for phrase in gold_phrases(match.sample) if match else ():
                    own = same_phrase(phrase.span, rows[number].phrases)
                    if own is not None:
                        places[own] = phrase.xyxy
                boxes_of[number] = places
        for candidate in labels.index.tolist():
            number = int(labels.candidates.row_of[candidate])
            box = rows[number].boxes[candidate - int(starts[number])]
            own_places = boxes_of[number].get(box.phrase_index, np.zeros((0, 4)))
            hits = pairwise_iou([box.xyxy], own_places) >= HIT_IOU
            found[rows[number].record_id, box.box_id] = bool(hits.any())
    return found


def judge_drawn(run: RunStore, truth: dict[tuple[str, str], bool], reviewer: str) -> int:
    """Decide about every drawn label, once, as a reviewer would; returns how many were drawn."""
    from pipeline.curation.decisions import append_decisions, load_decisions
    from pipeline.trust.audit_sample import find_audit
    from schemas.records import Decision, Verdict

    sample = find_audit(run)
    name = f"audit-{sample.audit_id[:8]}"
    if any(one.decision_id.startswith(name) for one in load_decisions(run)):
        return len(sample.drawn)
    append_decisions(
        run,
        [
            Decision(
                decision_id=f"{name}-{number}",
                record_id=label.record_id,
                box_id=label.box_id,
                verdict=Verdict.KEEP if truth[label.record_id, label.box_id] else Verdict.DROP,
                xyxy=None,
                phrase_index=None,
                reviewer=reviewer,
                decided_at=datetime.now(UTC).isoformat(timespec="microseconds"),
            )
            for number, label in enumerate(sample.drawn)
        ],
    )
    return len(sample.drawn)


def audited_precision(
    run: RunStore, policy: FilterPolicy, truth: dict[tuple[str, str], bool]
) -> AuditedPrecision:
    """The calibration's estimate over all labels, beside the truth.

    Raises:
        ConfigError: the run was not calibrated.
    """
    from pipeline.curation.calibration import read_calibration
    from schemas.errors import ConfigError

    found = read_calibration(run, policy)
    if found is None:
        raise ConfigError(f"run {run.uri!r} has no calibration of {policy.policy_id}")
    point = found.curve[-1]
    return AuditedPrecision(
        estimate=point.precision or 0.0,
        low=point.low,
        high=point.high,
        judged=point.drawn,
        true=float(np.mean(list(truth.values()))),
        labels=len(truth),
    )
