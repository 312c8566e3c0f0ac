"""The rules of a filter policy: which candidates of one annotation become labels, and why not.

Every rule works on arrays over the boxes of one pair and writes its name into `reasons`, so each
box that goes is counted under exactly one rule: the first that dropped it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.curation.filter_result import (
    CROSS_PHRASE,
    HIGH_SCORE,
    IMAGE_CAP,
    KEPT,
    LONG_SPAN,
    LOW_BEST_SCORE,
    LOW_IMAGE_SCORE,
    LOW_SCORE,
    MERGED,
    PHRASE_NMS,
    PHRASE_NONWORD,
    PHRASE_TOP_K,
    PHRASE_WORD,
    SMALL_SIDE,
    TOO_FEW_BOXES,
    WHOLE_IMAGE,
    FilteredBox,
    FilterResult,
    RegionScores,
)
from pipeline.curation.policy import FilterPolicy
from pipeline.phrases.drop_words import LEADING_WORDS
from schemas.boxes import as_boxes, box_areas, nms, pairwise_iou
from schemas.errors import ConfigError
from schemas.records import Annotation, GroundedBox, Phrase

_NONWORD = re.compile(
    r"""(?ix)
    (?:https?://|www\.)\S+ | \S+\.(?:com|org|net|jpe?g|png|html?)  # addresses and file names
    | [#@]\S+                                                       # hashtags and mentions
    | \W* (?: \d[\d.,:/'-]* (?: st|nd|rd|th|s )? \W* )+             # numbers, dates and times
    | \W* [a-z]? \W*                                                 # at most one Latin letter
    """
)


def apply_policy(
    row: Annotation, policy: FilterPolicy, region_scores: RegionScores | None = None
) -> FilterResult:
    """Run every rule of `policy` on one annotation. The same input gives the same result.

    Raises:
        ConfigError: the policy needs region scores and there are none for a box.
    """
    scores = _scores(row, policy, region_scores)
    boxes = as_boxes([box.xyxy for box in row.boxes])
    phrase_of = np.array([box.phrase_index for box in row.boxes], dtype=np.int64)
    state = _State(row, boxes, scores, phrase_of)
    _drop_phrases(state, policy)
    state.drop(scores <= np.float32(policy.score_threshold), LOW_SCORE)
    state.drop(scores > np.float32(policy.score_ceiling), HIGH_SCORE)
    state.drop(
        (boxes[:, 2:] - boxes[:, :2]).min(axis=1, initial=np.inf) < policy.min_side_px, SMALL_SIDE
    )
    if policy.nms_iou is not None:
        _suppress_within_phrases(state, policy.nms_iou)
    _drop_large(state, policy)
    merged_onto = _resolve_across_phrases(state, policy)
    _cap(state, policy, merged_onto)
    kept = _kept_boxes(state, merged_onto)
    image_reason = _image_reason(kept, policy, region_scores)
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


def is_nonword(text: str) -> bool:
    """True for single characters, numbers, dates, URLs, file names, hashtags and mentions."""
    return _NONWORD.fullmatch(text.strip()) is not None


def phrase_head(phrase: Phrase) -> str:
    """The head noun in lower case; where the parser gave none, the last word without articles."""
    if phrase.head:
        return phrase.head.lower()
    words = [word for word in phrase.text.lower().split() if word not in LEADING_WORDS]
    return words[-1] if words else phrase.text.lower().strip()


def _scores(
    row: Annotation, policy: FilterPolicy, region_scores: RegionScores | None
) -> NDArray[np.float32]:
    own = np.array([box.score for box in row.boxes], dtype=np.float32)
    if not policy.region_scores:
        return own
    if region_scores is None:
        raise ConfigError(
            f"policy {policy.name!r} multiplies by region scores {policy.region_scores!r}, and the "
            f"run has none under scores/{policy.region_scores}/; choose a policy without "
            "region_scores (default, glip, grit, owlst, strict-review) or write those scores first"
        )
    return own * np.array([_region_score(box, region_scores) for box in row.boxes], np.float32)


def _region_score(box: GroundedBox, region_scores: RegionScores) -> float:
    try:
        return region_scores.by_box[box.box_id]
    except KeyError:
        raise ConfigError(f"region scores are missing for the box {box.box_id!r}") from None


def _drop_phrases(state: _State, policy: FilterPolicy) -> None:
    words = policy.words()
    if words:
        listed = [phrase_head(phrase) in words for phrase in state.row.phrases]
        state.drop([listed[index] for index in state.phrase_of], PHRASE_WORD)
    if policy.drop_nonwords:
        nonword = [is_nonword(phrase.text) for phrase in state.row.phrases]
        state.drop([nonword[index] for index in state.phrase_of], PHRASE_NONWORD)


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


def _image_reason(
    kept: Sequence[FilteredBox], policy: FilterPolicy, region_scores: RegionScores | None
) -> str:
    if len(kept) < policy.min_boxes:
        return TOO_FEW_BOXES
    if policy.min_best_score > 0:
        best = max((np.float32(box.score) for box in kept), default=np.float32(0))
        if best <= np.float32(policy.min_best_score):
            return LOW_BEST_SCORE
    if policy.min_image_score > 0 and region_scores is not None:
        mean = sum(box.score for box in kept) / len(kept) if kept else 0.0
        if (region_scores.image * mean) ** 0.5 <= policy.min_image_score:
            return LOW_IMAGE_SCORE
    return KEPT
