"""The rules of a policy on one pair, box after box: the oracle of the columnar rules.

It was the product's engine. Kept simple and slow; it shares no line with what it checks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline.curation.rules.filter_result import (
    CROSS_PHRASE,
    HIGH_SCORE,
    IMAGE_CAP,
    INSIDE_OTHER,
    INSIDE_SAME,
    KEPT,
    LONG_SPAN,
    LOW_BEST_SCORE,
    LOW_OWN_SCORE,
    LOW_SCORE,
    MERGED,
    PHRASE_NMS,
    PHRASE_NONWORD,
    PHRASE_TOP_K,
    PHRASE_WORD,
    SMALL_SIDE,
    TOO_FEW_BOXES,
    WHOLE_IMAGE,
    DropCounts,
    FilteredBox,
    FilterResult,
)
from pipeline.curation.rules.phrase_rules import bare_text, is_nonword, phrase_head
from pipeline.curation.rules.policy import FilterPolicy
from schemas.boxes import as_boxes, box_areas, nms, pairwise_iou
from schemas.records import Annotation, Status


def apply_policy(row: Annotation, policy: FilterPolicy) -> FilterResult:
    """Run every rule of `policy` on one annotation."""
    scores = np.array([box.score for box in row.boxes], dtype=np.float32)
    boxes = as_boxes([box.xyxy for box in row.boxes])
    phrase_of = np.array([box.phrase_index for box in row.boxes], dtype=np.int64)
    state = _State(row, boxes, scores, phrase_of)
    _drop_phrases(state, policy)
    _drop_low(state, policy)
    state.drop(scores > np.float32(policy.score_ceiling), HIGH_SCORE)
    state.drop(
        (boxes[:, 2:] - boxes[:, :2]).min(axis=1, initial=np.inf) < policy.min_side_px, SMALL_SIDE
    )
    if policy.nms_iou is not None:
        _suppress_within_phrases(state, policy.nms_iou)
    if policy.contained_same is not None:
        _drop_inside(state, policy.contained_same, {}, same=True)
    _drop_large(state, policy)
    merged_onto = _resolve_across_phrases(state, policy)
    if policy.contained_other is not None:
        _drop_inside(state, policy.contained_other, merged_onto, same=False)
    _cap(state, policy, merged_onto)
    kept = _kept_boxes(state, merged_onto)
    image_reason = _image_reason(kept, policy)
    return FilterResult(
        boxes=kept if image_reason == KEPT else (),
        reasons=tuple(state.reasons),
        image_reason=image_reason,
    )


class _State:
    """The arrays of one annotation and the reason written so far for every box."""

    def __init__(
        self,
        row: Annotation,
        boxes: NDArray[np.float64],
        scores: NDArray[np.float32],
        phrase_of: NDArray[np.int64],
    ) -> None:
        self.row = row
        self.boxes = boxes
        self.scores = scores
        self.phrase_of = phrase_of
        self.reasons: list[str] = [KEPT] * len(boxes)

    def drop(self, where: Sequence[bool] | NDArray[np.bool_], reason: str) -> None:
        for index in np.flatnonzero(where):
            if self.reasons[index] == KEPT:
                self.reasons[index] = reason

    def alive(self) -> NDArray[np.int64]:
        """Boxes that no rule dropped, best first; ties in the order of the annotation."""
        indices = np.array(
            [i for i, reason in enumerate(self.reasons) if reason == KEPT], dtype=np.int64
        )
        return indices[np.argsort(-self.scores[indices], kind="stable")]


def _drop_phrases(state: _State, policy: FilterPolicy) -> None:
    words = policy.words()
    if words:
        listed = [phrase_head(phrase) in words for phrase in state.row.phrases]
        state.drop([listed[index] for index in state.phrase_of], PHRASE_WORD)
    if policy.drop_nonwords:
        nonword = [is_nonword(phrase.text) for phrase in state.row.phrases]
        state.drop([nonword[index] for index in state.phrase_of], PHRASE_NONWORD)


def _drop_low(state: _State, policy: FilterPolicy) -> None:
    for index, score in enumerate(state.scores):
        phrase = state.row.phrases[state.phrase_of[index]]
        own = policy.phrase_thresholds.get(bare_text(phrase.text))
        if own is None:
            own = policy.class_thresholds.get(phrase_head(phrase))
        limit = policy.score_threshold if own is None else own
        if score <= np.float32(limit) and state.reasons[index] == KEPT:
            state.reasons[index] = LOW_SCORE if own is None else LOW_OWN_SCORE


def _drop_inside(
    state: _State, limit: float, merged_onto: dict[int, list[int]], *, same: bool
) -> None:
    standing: list[int] = []
    for index in state.alive():
        inside = any(
            (state.phrase_of[better] == state.phrase_of[index]) == same
            and _share_inside(state.boxes[index], state.boxes[better]) > limit
            for better in standing
        )
        if not inside:
            standing.append(int(index))
            continue
        for one in (int(index), *merged_onto.pop(int(index), ())):
            state.reasons[one] = INSIDE_SAME if same else INSIDE_OTHER


def _share_inside(box: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    wide = min(box[2], other[2]) - max(box[0], other[0])
    high = min(box[3], other[3]) - max(box[1], other[1])
    return float(max(wide, 0) * max(high, 0) / ((box[2] - box[0]) * (box[3] - box[1])))


def _suppress_within_phrases(state: _State, iou: float) -> None:
    alive = state.alive()
    for phrase in np.unique(state.phrase_of[alive]):
        own = alive[state.phrase_of[alive] == phrase]
        kept = own[nms(state.boxes[own], state.scores[own], iou)]
        goes = np.zeros(len(state.boxes), dtype=bool)
        goes[own] = True
        goes[kept] = False
        state.drop(goes, PHRASE_NMS)


def _drop_large(state: _State, policy: FilterPolicy) -> None:
    row = state.row
    if not row.boxes:
        return
    shares = box_areas(state.boxes) / (row.width * row.height)
    state.drop(shares > policy.max_area_share, WHOLE_IMAGE)
    long_span = [
        (phrase.end - phrase.start) / len(row.caption) > policy.long_span_share
        for phrase in row.phrases
    ]
    is_long = np.array([long_span[index] for index in state.phrase_of], dtype=bool)
    state.drop(is_long & (shares > policy.long_span_max_area_share), LONG_SPAN)


def _resolve_across_phrases(state: _State, policy: FilterPolicy) -> dict[int, list[int]]:
    """Merge or suppress boxes of different phrases at one place; box -> boxes merged onto it."""
    merged_onto: dict[int, list[int]] = {}
    if policy.cross_phrase == "keep":
        return merged_onto
    alive = state.alive()
    overlaps = pairwise_iou(state.boxes[alive], state.boxes[alive])
    standing: list[int] = []  # positions in `alive`, best first
    for position, index in enumerate(alive):
        rivals = [
            other
            for other in standing
            if overlaps[position, other] > policy.cross_phrase_iou
            and state.phrase_of[alive[other]] != state.phrase_of[index]
        ]
        if not rivals:
            standing.append(position)
        elif policy.cross_phrase == "suppress":
            state.reasons[index] = CROSS_PHRASE
        else:
            # The nearest rival takes the phrase; the box itself is not lost, it changed hands.
            best = int(alive[max(rivals, key=lambda other: overlaps[position, other])])
            merged_onto.setdefault(best, []).append(int(index))
            state.reasons[index] = MERGED
    return merged_onto


def _cap(state: _State, policy: FilterPolicy, merged_onto: dict[int, list[int]]) -> None:
    """Top-k of each phrase, then of the image. A box that carries several phrases counts once,
    for its own; what was merged onto a box that goes is dropped with it."""
    alive = state.alive()
    goes: list[tuple[int, str]] = []
    if policy.max_boxes_per_phrase is not None:
        seen: Counter[int] = Counter()
        for index in alive:
            phrase = int(state.phrase_of[index])
            seen[phrase] += 1
            if seen[phrase] > policy.max_boxes_per_phrase:
                goes.append((int(index), PHRASE_TOP_K))
    if policy.max_boxes_per_image is not None:
        gone = {index for index, _ in goes}
        left = [int(index) for index in alive if int(index) not in gone]
        goes += [(index, IMAGE_CAP) for index in left[policy.max_boxes_per_image :]]
    for index, reason in goes:
        for one in (index, *merged_onto.pop(index, ())):
            state.reasons[one] = reason


def _kept_boxes(state: _State, merged_onto: dict[int, list[int]]) -> tuple[FilteredBox, ...]:
    kept = []
    for index in state.alive():
        members = [int(index), *merged_onto.get(int(index), ())]
        phrases = dict.fromkeys(int(state.phrase_of[member]) for member in members)
        kept.append(
            FilteredBox(
                index=int(index),
                members=tuple(members),
                phrase_indices=tuple(phrases),
                score=float(state.scores[index]),
            )
        )
    return tuple(kept)


def _image_reason(kept: Sequence[FilteredBox], policy: FilterPolicy) -> str:
    if len(kept) < policy.min_boxes:
        return TOO_FEW_BOXES
    if policy.min_best_score > 0:
        best = max((np.float32(box.score) for box in kept), default=np.float32(0))
        if best <= np.float32(policy.min_best_score):
            return LOW_BEST_SCORE
    return KEPT


@dataclass(kw_only=True)
class RowCounts:
    """`DropCounts`, one pair at a time."""

    counts: DropCounts = field(default_factory=DropCounts)

    def add(self, row: Annotation, result: FilterResult) -> None:
        """Count one annotation."""
        counts = self.counts
        counts.records += 1
        counts.boxes += len(row.boxes)
        if result.image_reason != KEPT:
            reason = row.status.value if row.status != Status.OK else result.image_reason
            counts.records_dropped[reason] += 1
        else:
            counts.records_kept += 1
        for reason in result.reasons:
            passes = reason in (KEPT, MERGED)
            if passes and result.image_reason != KEPT:
                counts.boxes_dropped[result.image_reason] += 1
            elif reason == KEPT:
                counts.boxes_kept += 1
            elif reason == MERGED:
                counts.boxes_merged += 1
            else:
                counts.boxes_dropped[reason] += 1
