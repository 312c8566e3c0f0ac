"""Two labelled runs of the same corpus side by side: what one teacher sees that the other misses.

Pairs are joined by record id, phrases by their span, boxes of a phrase one to one by IoU. Both
runs go through the same policy, freshly applied; decisions of people play no part.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from pipeline.curation.filters import apply_policy, phrase_head
from pipeline.curation.policy import FilterPolicy
from schemas.boxes import as_boxes, pairwise_iou
from schemas.errors import ConfigError, DataError
from schemas.records import Annotation, Span, Xyxy

MATCH_IOU = 0.5
"""Two boxes of one phrase are the same label at this IoU or more."""

_Box = tuple[Xyxy, float]


@dataclass(kw_only=True)
class LabelChange:
    """Labels of one noun, or of all: kept, lost and gained from run A to run B."""

    kept: int = 0
    """Labels of A that B has too, at IoU >= 0.5."""
    lost: int = 0
    gained: int = 0
    score_shift: float = 0.0
    """Sum of (score in B - score in A) over kept labels."""
    iou: float = 0.0
    """Sum of the IoU of kept labels."""

    @property
    def agreement(self) -> float:
        """2 kept / (labels of A + labels of B); NaN without any label."""
        total = 2 * self.kept + self.lost + self.gained
        return 2 * self.kept / total if total else float("nan")

    @property
    def mean_shift(self) -> float:
        """Mean change of score of kept labels."""
        return self.score_shift / self.kept if self.kept else float("nan")

    @property
    def mean_iou(self) -> float:
        """Mean IoU of kept labels."""
        return self.iou / self.kept if self.kept else float("nan")

    def add(self, other: LabelChange) -> None:
        """Add another's counts."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


@dataclass(kw_only=True)
class RunComparison:
    """The difference of two runs."""

    policy_id: str
    pairs: int = 0
    """Record ids that both runs have a result for."""
    pairs_only_a: int = 0
    pairs_only_b: int = 0
    captions_differ: int = 0
    """Pairs with one id and two captions: not compared."""
    statuses: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(status in A, status in B) -> pairs."""
    phrases: int = 0
    """Spans that both runs have."""
    phrases_only_a: int = 0
    phrases_only_b: int = 0
    top1_both: int = 0
    """Phrases with a label in both runs."""
    top1_same: int = 0
    """...whose best boxes agree."""
    total: LabelChange = field(default_factory=LabelChange)
    by_noun: dict[str, LabelChange] = field(default_factory=dict)
    shift_bins: list[int] = field(default_factory=lambda: [0] * 20)
    """Kept labels by change of score, 20 equal bins over [-1, 1]."""

    @property
    def top1_agreement(self) -> float:
        """Share of phrases labelled in both runs whose best boxes agree."""
        return self.top1_same / self.top1_both if self.top1_both else float("nan")

    def most_changed(self, number: int) -> list[tuple[str, LabelChange]]:
        """The nouns with the most lost and gained labels."""
        ranked = sorted(self.by_noun.items(), key=lambda e: (-(e[1].lost + e[1].gained), e[0]))
        return ranked[:number]


def compare_runs(
    rows_a: Iterable[Annotation], rows_b: Iterable[Annotation], policy: FilterPolicy
) -> RunComparison:
    """Compare two runs; memory grows only with how far their orders differ.

    Raises:
        ConfigError: the runs have no record in common.
        DataError: a record id occurs twice in a run.
    """
    comparison = RunComparison(policy_id=policy.policy_id)
    for a, b in _joined(rows_a, rows_b):
        if a is None or b is None:
            comparison.pairs_only_a += b is None
            comparison.pairs_only_b += a is None
        else:
            _compare_pair(a, b, policy, comparison)
    if comparison.pairs == 0:
        raise ConfigError(
            f"the two runs have no record in common ({comparison.pairs_only_a} and "
            f"{comparison.pairs_only_b} records): compare runs over the same corpus"
        )
    return comparison


def _joined(
    rows_a: Iterable[Annotation], rows_b: Iterable[Annotation]
) -> Iterator[tuple[Annotation | None, Annotation | None]]:
    """Rows of equal id, as soon as both were read; what is left over at the end."""
    streams = (iter(rows_a), iter(rows_b))
    waiting: tuple[dict[str, Annotation], dict[str, Annotation]] = ({}, {})
    open_streams = [True, True]
    while any(open_streams):
        for side in (0, 1):
            row = next(streams[side], None) if open_streams[side] else None
            if row is None:
                open_streams[side] = False
                continue
            partner = waiting[1 - side].pop(row.record_id, None)
            if partner is not None:
                yield (row, partner) if side == 0 else (partner, row)
            elif row.record_id in waiting[side]:
                raise DataError(f"record {row.record_id!r} occurs twice in run {'AB'[side]}")
            else:
                waiting[side][row.record_id] = row
    yield from ((row, None) for row in waiting[0].values())
    yield from ((None, row) for row in waiting[1].values())


def _compare_pair(
    a: Annotation, b: Annotation, policy: FilterPolicy, comparison: RunComparison
) -> None:
    comparison.pairs += 1
    if a.caption != b.caption:
        comparison.captions_differ += 1
        return
    comparison.statuses[a.status.value, b.status.value] += 1
    labels_a, labels_b = _labels(a, policy), _labels(b, policy)
    comparison.phrases += len(labels_a.keys() & labels_b.keys())
    comparison.phrases_only_a += len(labels_a.keys() - labels_b.keys())
    comparison.phrases_only_b += len(labels_b.keys() - labels_a.keys())
    heads = {(p.start, p.end): phrase_head(p) for p in (*b.phrases, *a.phrases)}
    for span in sorted(heads):
        change = _compare_phrase(labels_a.get(span, []), labels_b.get(span, []), comparison)
        if change.kept or change.lost or change.gained:
            comparison.total.add(change)
            comparison.by_noun.setdefault(heads[span], LabelChange()).add(change)


def _labels(row: Annotation, policy: FilterPolicy) -> dict[Span, list[_Box]]:
    """Span of every phrase -> its labels, best first; a merged box keeps the better one's place."""
    labels: dict[Span, list[_Box]] = {(p.start, p.end): [] for p in row.phrases}
    for kept in apply_policy(row, policy).boxes:
        for index in kept.phrase_indices:
            phrase = row.phrases[index]
            labels[phrase.start, phrase.end].append((row.boxes[kept.index].xyxy, kept.score))
    return labels


def _compare_phrase(a: list[_Box], b: list[_Box], comparison: RunComparison) -> LabelChange:
    overlaps = pairwise_iou(as_boxes([x for x, _ in a]), as_boxes([x for x, _ in b]))
    if a and b:
        comparison.top1_both += 1
        comparison.top1_same += bool(overlaps[0, 0] >= MATCH_IOU)
    change = LabelChange()
    free = np.ones(len(b), dtype=bool)
    for index, (_, score) in enumerate(a):
        reach = np.where(free, overlaps[index], -1.0) if b else np.zeros(0)
        best = int(reach.argmax()) if reach.size else -1
        if best < 0 or reach[best] < MATCH_IOU:
            change.lost += 1
            continue
        free[best] = False
        shift = b[best][1] - score
        change.kept += 1
        change.score_shift += shift
        change.iou += float(reach[best])
        comparison.shift_bins[min(int((shift + 1) * 10), 19)] += 1
    change.gained = int(free.sum())
    return change
