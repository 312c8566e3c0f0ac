"""What the decisions of a run say: acceptance, speed, agreement, precision. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any

from pipeline.curation.agreement import (
    RULE,
    PairAgreement,
    agreements,
    conflicts,
)
from pipeline.curation.box_state import PairReview, Review, box_histories, pair_history
from pipeline.curation.decisions import decisions_by_record, in_order
from pipeline.curation.pushed import Pushed
from schemas.records import Annotation, Decision

BUCKETS = 10
BREAK_S = 300.0
"""A longer pause between two verdicts is not work."""
NOT_THE_PROMISE = (
    "reviewers chose these boxes, so this is not an estimate for the run; a promise needs a drawn "
    "sample"
)


@dataclass(slots=True)
class Judged:
    """How many boxes of the teacher people accepted, changed and rejected."""

    accepted: int = 0
    fixed: int = 0
    rejected: int = 0

    @property
    def boxes(self) -> int:
        """All of them."""
        return self.accepted + self.fixed + self.rejected

    @property
    def precision(self) -> float:
        """Accepted / judged: a box that had to be changed was not right. NaN of none."""
        return self.accepted / self.boxes if self.boxes else math.nan

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Clopper and Pearson's interval of the precision, as if the boxes were drawn at random."""
        right, wrong, tail = self.accepted, self.boxes - self.accepted, (1 - confidence) / 2
        from scipy.stats import beta  # a labelling node has no verdicts, and no scipy

        low = float(beta.ppf(tail, right, wrong + 1)) if right else 0.0
        high = float(beta.ppf(1 - tail, right + 1, wrong)) if wrong else 1.0
        return low, high

    def add(self, review: Review) -> None:
        """Count one box; a pending one is not judged."""
        if review != Review.PENDING:
            setattr(self, str(review), getattr(self, str(review)) + 1)


@dataclass(slots=True)
class ReviewStats:
    """The decisions of a run in figures."""

    judged: Judged = field(default_factory=Judged)
    by_score: dict[int, Judged] = field(default_factory=dict)
    """Bucket n holds scores in [n / 10, (n + 1) / 10)."""
    by_phrase: dict[str, Judged] = field(default_factory=dict)
    """Head noun of the phrase, else its text."""
    drawn: int = 0
    """Boxes that people added and that stand."""
    carried: int = 0
    """Decisions that come from another run."""
    pairs: Counter[str] = field(default_factory=Counter)
    """Word about whole pairs -> pairs: done, bad, missing."""
    reviewers: dict[str, tuple[int, float]] = field(default_factory=dict)
    """Reviewer -> verdicts about boxes, and the hours in which they were given."""
    agreements: list[PairAgreement] = field(default_factory=list)
    conflicts: int = 0

    def boxes_an_hour(self) -> float:
        """Of all reviewers together, per hour of one; NaN without a span of time."""
        verdicts = sum(count for count, _ in self.reviewers.values())
        hours = sum(spent for _, spent in self.reviewers.values())
        return verdicts / hours if hours else math.nan


def review_stats(
    annotations: Iterable[Annotation], decisions: Sequence[Decision]
) -> ReviewStats | None:
    """The figures of a run's decisions; None where there are none.

    Args:
        annotations: at least the rows that decisions are about.
        decisions: all of the run.

    Raises:
        DataError: a decision is about a box that its pair does not have.
    """
    if not decisions:
        return None
    stats = ReviewStats(
        carried=sum(bool(decision.carried_from) for decision in decisions),
        reviewers=_reviewers(decisions),
        agreements=agreements(decisions),
        conflicts=len(conflicts(decisions)),
    )
    by_record = decisions_by_record(decisions)
    for row in annotations:
        decided = by_record.get(row.record_id)
        if decided is None:
            continue
        pair = pair_history(decided).current().review
        if pair != PairReview.OPEN:
            stats.pairs[str(pair)] += 1
        for history in box_histories(row, decided).values():
            _count(stats, row, history.candidate, history.current().review)
    return stats


def _count(stats: ReviewStats, row: Annotation, candidate: Any, review: Review) -> None:
    if candidate is None:
        stats.drawn += review not in (Review.REJECTED, Review.PENDING)
        return
    if review == Review.PENDING:
        return
    stats.judged.add(review)
    bucket = min(int(candidate.score * BUCKETS), BUCKETS - 1)
    stats.by_score.setdefault(bucket, Judged()).add(review)
    phrase = row.phrases[candidate.phrase_index]
    stats.by_phrase.setdefault(phrase.head or phrase.text, Judged()).add(review)


def _reviewers(decisions: Iterable[Decision]) -> dict[str, tuple[int, float]]:
    """Verdicts and hours at work; pauses are left out, and so are verdicts of one moment."""
    times: dict[str, list[float]] = {}
    for decision in in_order(decisions):
        own = not decision.carried_from and not decision.reviewer.startswith(RULE)
        if own and decision.box_id:
            moment = datetime.fromisoformat(decision.decided_at).timestamp()
            times.setdefault(decision.reviewer, []).append(moment)
    return {
        name: (
            len(moments),
            sum(gap for gap in (b - a for a, b in pairwise(moments)) if gap <= BREAK_S) / 3600,
        )
        for name, moments in times.items()
    }


def progress_line(stats: ReviewStats, pushed: Pushed) -> str:
    """So many of so many, and the time that is left at the speed so far."""
    closed, judged = sum(stats.pairs.values()), stats.judged.boxes
    text = (
        f"{closed:,} of {pushed.pairs:,} pairs done, {judged:,} of {pushed.boxes:,} boxes of "
        f"dataset {pushed.dataset} judged"
    )
    speed, left = stats.boxes_an_hour(), pushed.boxes - judged
    if speed == speed and left > 0:
        text += f"; about {left / speed:,.1f} hours left at {speed:,.0f} boxes an hour"
    return text


def as_json(stats: ReviewStats) -> dict[str, Any]:
    """Plain values; NaN is None."""
    low, high = stats.judged.interval()
    return {
        "judged": _judged_json(stats.judged),
        "precision_interval_95": [low, high],
        "is_audited": False,
        "by_score": {
            f"{n / BUCKETS:.1f}": _judged_json(stats.by_score[n]) for n in sorted(stats.by_score)
        },
        "by_phrase": {name: _judged_json(one) for name, one in _most(stats.by_phrase)},
        "drawn": stats.drawn,
        "carried": stats.carried,
        "pairs": dict(stats.pairs),
        "reviewers": {
            name: {"verdicts": count, "hours": round(hours, 4)}
            for name, (count, hours) in stats.reviewers.items()
        },
        "boxes_an_hour": _number(stats.boxes_an_hour()),
        "agreement": [
            {
                "reviewers": [one.first, one.second],
                "boxes": one.boxes,
                "same": one.same,
                "kappa": _number(one.kappa),
                "edits": one.edits,
                "edit_iou": _number(one.edit_iou),
            }
            for one in stats.agreements
        ],
        "conflicts": stats.conflicts,
    }


def _most(by_phrase: Mapping[str, Judged], count: int = 20) -> list[tuple[str, Judged]]:
    return sorted(by_phrase.items(), key=lambda item: (-item[1].boxes, item[0]))[:count]


def _judged_json(judged: Judged) -> dict[str, Any]:
    return {
        "accepted": judged.accepted,
        "fixed": judged.fixed,
        "rejected": judged.rejected,
        "precision": _number(judged.precision),
    }


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def lines(stats: ReviewStats, *, phrases: int = 3) -> list[str]:
    """The figures in a few lines of text."""
    judged = stats.judged
    text = [f"{judged.boxes:,} boxes judged: {judged.accepted:,} accepted, {judged.fixed:,} "]
    text[0] += f"changed, {judged.rejected:,} rejected; {stats.drawn:,} drawn"
    if judged.boxes:
        low, high = judged.interval()
        text.append(
            f"{judged.precision:.1%} were right as they were, 95 % interval {low:.1%} to "
            f"{high:.1%} ({NOT_THE_PROMISE})"
        )
        text.append(
            "accepted by score: "
            + ", ".join(
                f"{n / BUCKETS:.1f}+ {one.precision:.0%} of {one.boxes:,}"
                for n, one in sorted(stats.by_score.items())
            )
        )
        text.append(
            "accepted by noun: "
            + ", ".join(
                f"{name} {one.precision:.0%} of {one.boxes:,}"
                for name, one in _most(stats.by_phrase, phrases)
            )
        )
    if stats.pairs:
        pairs = ", ".join(f"{n:,} {word}" for word, n in sorted(stats.pairs.items()))
        text.append(f"pairs: {pairs}")
    people = ", ".join(f"{name} {count:,}" for name, (count, _) in sorted(stats.reviewers.items()))
    speed = stats.boxes_an_hour()
    if people:
        text.append(
            f"by reviewer: {people}" + (f"; {speed:,.0f} an hour" if speed == speed else "")
        )
    if stats.carried:
        text.append(f"{stats.carried:,} decisions were carried over from another run")
    for one in stats.agreements:
        kappa = f"kappa {one.kappa:.2f}" if one.kappa == one.kappa else "no kappa"
        text.append(
            f"{one.first} and {one.second}: {one.same:,} of {one.boxes:,} boxes the same, {kappa}"
            + (f", IoU of {one.edits:,} edits {one.edit_iou:.2f}" if one.edits else "")
        )
    if stats.conflicts:
        text.append(f"{stats.conflicts:,} boxes in conflict: glipforge review agree RUN")
    return text
