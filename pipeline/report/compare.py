"""Two labelled runs of the same corpus side by side: what one teacher sees that the other misses.

Pairs are joined by record id, phrases by their span, boxes of a phrase one to one by IoU. Both
runs go through the same policy, freshly applied; decisions of people play no part.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.curation.rules import candidates
from pipeline.curation.rules.filters import filter_candidates
from pipeline.curation.rules.phrase_rules import head_of
from pipeline.curation.rules.policy import FilterPolicy
from schemas.boxes import pairwise_iou
from schemas.errors import ConfigError, DataError
from schemas.records import Span

MATCH_IOU = 0.5
"""Two boxes of one phrase are the same label at this IoU or more."""
MOVED_IOU = 0.9
"""Below it, a kept label's box was moved."""

COLUMNS = candidates.COLUMNS
"""What the tables of a comparison must hold."""


@dataclass(kw_only=True)
class LabelChange:
    """Labels of one noun, or of all: kept, missed and added from run A to run B."""

    kept: int = 0
    """Labels of A that B has too, at IoU >= 0.5."""
    moved: int = 0
    """Kept ones of which the box is elsewhere: IoU < 0.9."""
    missed: int = 0
    """Labels of A that B does not have."""
    added: int = 0
    """Labels of B that A does not have."""
    score_shift: float = 0.0
    """Sum of (score in B - score in A) over kept labels."""
    iou: float = 0.0
    """Sum of the IoU of kept labels."""

    @property
    def agreement(self) -> float:
        """2 kept / (labels of A + labels of B); NaN without any label."""
        total = 2 * self.kept + self.missed + self.added
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
        """The nouns with the most missed and added labels."""
        ranked = sorted(self.by_noun.items(), key=lambda e: (-(e[1].missed + e[1].added), e[0]))
        return ranked[:number]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    """One pair of a run with its labels."""

    record_id: str
    caption: str
    status: str
    heads: dict[Span, str]
    """Span of every phrase -> its head noun."""
    boxes: dict[Span, NDArray[np.float64]]
    """Span of every phrase -> its labels [K, 4], best first; one that was merged onto another
    phrase's box stands at that box's place."""
    scores: dict[Span, NDArray[np.float64]]


def compare_runs(
    tables_a: Iterable[pa.Table],
    tables_b: Iterable[pa.Table],
    policy: FilterPolicy,
    policy_b: FilterPolicy | None = None,
) -> RunComparison:
    """Compare two runs, each given as tables of annotations with `COLUMNS`; memory grows only
    with how far their orders differ.

    `policy_b`: of the second run, where a policy follows the teacher; None: one for both.

    Raises:
        ConfigError: the runs have no record in common.
        DataError: a record id occurs twice in a run.
    """
    policy_b = policy_b or policy
    ids = dict.fromkeys((policy.policy_id, policy_b.policy_id))
    comparison = RunComparison(policy_id=" and ".join(ids))
    for a, b in _joined(_pairs(tables_a, policy), _pairs(tables_b, policy_b)):
        if a is None or b is None:
            comparison.pairs_only_a += b is None
            comparison.pairs_only_b += a is None
        else:
            _compare_pair(a, b, comparison)
    if comparison.pairs == 0:
        raise ConfigError(
            f"the two runs have no record in common ({comparison.pairs_only_a} and "
            f"{comparison.pairs_only_b} records): compare runs over the same corpus"
        )
    return comparison


def _joined(
    rows_a: Iterable[_Pair], rows_b: Iterable[_Pair]
) -> Iterator[tuple[_Pair | None, _Pair | None]]:
    """Rows of equal id, as soon as both were read; what is left over at the end."""
    streams = (iter(rows_a), iter(rows_b))
    waiting: tuple[dict[str, _Pair], dict[str, _Pair]] = ({}, {})
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


def _compare_pair(a: _Pair, b: _Pair, comparison: RunComparison) -> None:
    comparison.pairs += 1
    if a.caption != b.caption:
        comparison.captions_differ += 1
        return
    comparison.statuses[a.status, b.status] += 1
    comparison.phrases += len(a.heads.keys() & b.heads.keys())
    comparison.phrases_only_a += len(a.heads.keys() - b.heads.keys())
    comparison.phrases_only_b += len(b.heads.keys() - a.heads.keys())
    heads = b.heads | a.heads
    for span in sorted({*a.boxes, *b.boxes}):
        change = _compare_phrase(a, b, span, comparison)
        comparison.total.add(change)
        comparison.by_noun.setdefault(heads[span], LabelChange()).add(change)


def _pairs(tables: Iterable[pa.Table], policy: FilterPolicy) -> Iterator[_Pair]:
    for table in tables:
        found = candidates.candidates_of(table)
        outcome = filter_candidates(found, policy)
        kept = outcome.labels(found)
        places, members = outcome.members(found, kept)
        boxes, scores = found.boxes_at(kept), outcome.scores[kept].astype(np.float64)
        labels: dict[int, list[int]] = {}  # phrase -> which of `kept`, best first, each once
        for place, phrase in zip(places.tolist(), found.phrase_of[members].tolist(), strict=True):
            of_phrase = labels.setdefault(phrase, [])
            if not of_phrase or of_phrase[-1] != place:
                of_phrase.append(place)
        yield from _table_pairs(table, found.phrases.offsets.tolist(), labels, boxes, scores)


def _table_pairs(
    table: pa.Table,
    offsets: list[int],
    labels: dict[int, list[int]],
    boxes: NDArray[np.float64],
    scores: NDArray[np.float64],
) -> Iterator[_Pair]:
    for row, pair in enumerate(
        table.select(["record_id", "caption", "status", "phrases"]).to_pylist()
    ):
        spans = [(phrase["start"], phrase["end"]) for phrase in pair["phrases"]]
        own: dict[Span, list[int]] = {}
        for number, span in enumerate(spans, start=offsets[row]):
            if number in labels:  # two phrases may have one span: their labels are one list
                own[span] = sorted({*own.get(span, ()), *labels[number]})
        yield _Pair(
            record_id=pair["record_id"],
            caption=pair["caption"],
            status=pair["status"],
            heads={
                span: head_of(phrase["head"], phrase["text"])
                for span, phrase in zip(spans, pair["phrases"], strict=True)
            },
            boxes={span: boxes[places] for span, places in own.items()},
            scores={span: scores[places] for span, places in own.items()},
        )


def _compare_phrase(a: _Pair, b: _Pair, span: Span, comparison: RunComparison) -> LabelChange:
    none = np.zeros((0, 4))
    overlaps = pairwise_iou(a.boxes.get(span, none), b.boxes.get(span, none))
    if overlaps.size:
        comparison.top1_both += 1
        comparison.top1_same += bool(overlaps[0, 0] >= MATCH_IOU)
    change = LabelChange()
    free = np.ones(overlaps.shape[1], dtype=bool)
    for index, reach in enumerate(overlaps):
        reach = np.where(free, reach, -1.0)
        best = int(reach.argmax()) if reach.size else -1
        if best < 0 or reach[best] < MATCH_IOU:
            change.missed += 1
            continue
        free[best] = False
        shift = float(b.scores[span][best] - a.scores[span][index])
        change.kept += 1
        change.score_shift += shift
        change.iou += float(reach[best])
        change.moved += bool(reach[best] < MOVED_IOU)
        comparison.shift_bins[min(int((shift + 1) * 10), 19)] += 1
    change.added = int(free.sum())
    return change
