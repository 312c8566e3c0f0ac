"""The rules of a filter policy, over the candidates of many pairs at once.

A rule is an operation over flat arrays that writes its code into `codes`, so each box that goes is
counted under exactly one rule: the first that dropped it. The result of a pair is the same
whichever pairs it is filtered with.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.curation.candidates import Candidates, Ints, candidates_of_rows
from pipeline.curation.filter_result import (
    CODE_OF,
    CROSS_PHRASE,
    HIGH_SCORE,
    IMAGE_CAP,
    IMAGE_CODE_OF,
    INSIDE_OTHER,
    INSIDE_SAME,
    LONG_SPAN,
    LOW_BEST_SCORE,
    LOW_IMAGE_SCORE,
    LOW_LAYER,
    LOW_LAYER_IMAGE,
    LOW_OWN_SCORE,
    LOW_PRECISION,
    LOW_SCORE,
    MERGED,
    PHRASE_NMS,
    PHRASE_TOP_K,
    SMALL_SIDE,
    TOO_FEW_BOXES,
    WHOLE_IMAGE,
    FilterOutcome,
    FilterResult,
)
from pipeline.curation.layer_scores import scored
from pipeline.curation.overlap import IOU, SHARE_INSIDE, Sides, best_first, ranks, suppressed
from pipeline.curation.phrase_rules import phrase_codes, phrase_thresholds
from pipeline.curation.policy import FilterPolicy
from pipeline.layers.columns import NUMBERS
from schemas.boxes import box_areas
from schemas.errors import ConfigError
from schemas.records import Annotation


def filter_candidates(
    candidates: Candidates, policy: FilterPolicy, *, precision_threshold: float | None = None
) -> FilterOutcome:
    """Run every rule of `policy`.

    Args:
        candidates: of any number of pairs.
        policy: the rules.
        precision_threshold: what a calibration says for the policy's `min_precision`: a box stays
            when its score is greater. None where the policy asks for no precision.

    Raises:
        ConfigError: the policy needs region scores or a calibration, and there are none.
    """
    if policy.min_precision is not None and precision_threshold is None:
        raise ConfigError(
            f"policy {policy.name!r} asks for min_precision {policy.min_precision}: which scores "
            "that takes is known only of a run that was calibrated, where `glipforge filter` and "
            "what reads its labels can apply it"
        )
    candidates = scored(candidates, policy)
    state = _State(candidates, _scores(candidates, policy))
    _drop_by_phrase_and_score(state, policy, precision_threshold)
    state.look_closer()
    sides = state.boxes[:, 2:] - state.boxes[:, :2]
    state.drop(sides.min(axis=1) < policy.min_side_px, SMALL_SIDE)
    _suppress_within_phrases(state, policy)
    _drop_large(state, policy)
    merged_onto = _resolve_across_phrases(state, policy)
    _cap(state, policy)
    # What was merged onto a box that goes is dropped with it, by the same rule.
    merged = np.flatnonzero(state.codes == CODE_OF[MERGED])
    state.codes[merged] = np.maximum(state.codes[merged_onto[merged]], CODE_OF[MERGED])
    return FilterOutcome(
        codes=state.codes,
        image_codes=_image_codes(state, policy),
        merged_onto=np.where(state.codes == CODE_OF[MERGED], merged_onto, -1),
        scores=state.scores,
    )


def filter_rows(rows: Sequence[Annotation], policy: FilterPolicy) -> list[FilterResult]:
    """What the rules say about checked rows, one result a row.

    Raises:
        ConfigError: as `filter_candidates`.
        DataError: a row breaks the contract.
    """
    candidates = candidates_of_rows(rows)
    outcome = filter_candidates(candidates, policy)
    return [outcome.row_result(candidates, number) for number in range(len(rows))]


class _State:
    """The codes written so far, and the boxes that no rule has dropped yet."""

    def __init__(self, candidates: Candidates, scores: NDArray[np.float32]) -> None:
        self.candidates = candidates
        self.scores = scores
        self.codes = np.zeros(candidates.num_boxes, dtype=np.uint8)
        self.alive: Ints = np.zeros(0, np.int64)
        self.boxes: NDArray[np.float64] = np.zeros((0, 4))
        """Of the boxes alive, [K, 4]."""

    def mark(self, where: NDArray[np.bool_], reason: str) -> None:
        """Drop boxes by a mask over all candidates."""
        self.codes[where & (self.codes == 0)] = CODE_OF[reason]

    def look_closer(self) -> None:
        """From here on only the boxes that the cheap rules left are looked at."""
        self.alive = np.flatnonzero(self.codes == 0)
        self.boxes = self.candidates.boxes_at(self.alive)

    def drop(self, where: NDArray[np.bool_], reason: str) -> None:
        """Drop boxes by a mask over those alive."""
        if where.any():
            self.codes[self.alive[where]] = CODE_OF[reason]
            self.alive, self.boxes = self.alive[~where], self.boxes[~where]

    def by_phrase(self) -> Ints:
        """Order of the boxes alive: by phrase, best first."""
        return best_first(self.phrases(), self.scores[self.alive])

    def by_row(self) -> Ints:
        """Order of the boxes alive: by pair, best first."""
        return best_first(self.rows(), self.scores[self.alive])

    def phrases(self) -> Ints:
        """Of the boxes alive."""
        return self.candidates.phrase_of[self.alive]

    def rows(self) -> Ints:
        """Of the boxes alive."""
        return self.candidates.row_of[self.alive]


def _scores(candidates: Candidates, policy: FilterPolicy) -> NDArray[np.float32]:
    if not policy.region_scores:
        return candidates.scores
    if candidates.region_scores is None:
        raise ConfigError(
            f"policy {policy.name!r} multiplies each score by a second model's score of the region "
            f"(region_scores {policy.region_scores!r}), and they are not given here: glipforge "
            "filter and export read them from the layers that `glipforge enrich` makes"
        )
    return candidates.scores * candidates.region_scores


def _drop_by_phrase_and_score(
    state: _State, policy: FilterPolicy, precision_threshold: float | None
) -> None:
    candidates, scores = state.candidates, state.scores
    codes = phrase_codes(candidates.phrases, policy)
    if codes.any():
        state.codes = codes[candidates.phrase_of]
    own = phrase_thresholds(candidates.phrases, policy)
    if own is None:
        state.mark(scores <= np.float32(policy.score_threshold), LOW_SCORE)
    else:
        threshold, has_own = own
        low = scores <= threshold[candidates.phrase_of]
        is_own = has_own[candidates.phrase_of]
        state.mark(low & ~is_own, LOW_SCORE)
        state.mark(low & is_own, LOW_OWN_SCORE)
    if precision_threshold is not None:
        state.mark(scores <= np.float32(precision_threshold), LOW_PRECISION)
    for name, floor in policy.layer_thresholds.items():
        if NUMBERS[name] == "box_id":
            # Not <=: a box without a value goes.
            state.mark(~(_layer(candidates, policy, name) > np.float32(floor)), LOW_LAYER)
    if policy.score_ceiling < 1:
        state.mark(scores > np.float32(policy.score_ceiling), HIGH_SCORE)


def _suppress_within_phrases(state: _State, policy: FilterPolicy) -> None:
    for limit, measure, reason in (
        (policy.nms_iou, IOU, PHRASE_NMS),
        (policy.contained_same, SHARE_INSIDE, INSIDE_SAME),
    ):
        if limit is None:
            continue
        order = state.by_phrase()
        goes = np.zeros(len(order), dtype=bool)
        goes[order] = suppressed(state.boxes[order], state.phrases()[order], limit, measure=measure)
        state.drop(goes, reason)


def _drop_large(state: _State, policy: FilterPolicy) -> None:
    shares = box_areas(state.boxes) / state.candidates.areas_px[state.rows()]
    state.drop(shares > policy.max_area_share, WHOLE_IMAGE)
    if policy.long_span_share >= 1 or policy.long_span_max_area_share >= 1:
        return  # no phrase is longer than its caption, no box greater than its image
    phrases, rows = state.phrases(), state.rows()
    long = (
        state.candidates.phrases.chars[phrases] / state.candidates.caption_chars[rows]
        > policy.long_span_share
    )
    shares = box_areas(state.boxes) / state.candidates.areas_px[rows]
    state.drop(long & (shares > policy.long_span_max_area_share), LONG_SPAN)


def _resolve_across_phrases(state: _State, policy: FilterPolicy) -> Ints:
    """Merge or suppress boxes of different phrases at one place, drop those inside of another;
    for a merged box the one that took its phrase, -1 for all others."""
    merged_onto = np.full(state.candidates.num_boxes, -1, dtype=np.int64)
    if policy.cross_phrase != "keep":
        goes, owners = _rivals(state, policy)
        if policy.cross_phrase == "merge":
            merged_onto[state.alive[goes]] = owners
        state.drop(goes, MERGED if policy.cross_phrase == "merge" else CROSS_PHRASE)
    if policy.contained_other is not None:
        order = state.by_row()
        goes = np.zeros(len(order), dtype=bool)
        goes[order] = suppressed(
            state.boxes[order],
            state.rows()[order],
            policy.contained_other,
            measure=SHARE_INSIDE,
            kinds=state.phrases()[order],
        )
        state.drop(goes, INSIDE_OTHER)
    return merged_onto


def _rivals(state: _State, policy: FilterPolicy) -> tuple[NDArray[np.bool_], Ints]:
    """Which boxes alive have a better one of another phrase at their place, and for each of them,
    in the order of the boxes, the nearest of those that stand, by number."""
    order = state.by_row()
    boxes, rows, phrases = state.boxes[order], state.rows()[order], state.phrases()[order]
    gone = suppressed(boxes, rows, policy.cross_phrase_iou, kinds=phrases)
    goes = np.zeros(len(order), dtype=bool)
    goes[order] = gone
    losers = np.flatnonzero(gone)
    if not len(losers) or policy.cross_phrase != "merge":
        return goes, np.full(len(losers), -1, dtype=np.int64)
    # Every loser beside every better box of its pair that stands; few boxes lose.
    starts = np.searchsorted(rows, rows[losers])
    sizes = losers - starts
    pair_of = np.repeat(np.arange(len(losers)), sizes)
    rival = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes) + starts[pair_of]
    fits = ~gone[rival] & (phrases[rival] != phrases[losers[pair_of]])
    pair_of, rival = pair_of[fits], rival[fits]
    sides = Sides.of(boxes)
    overlaps = IOU(sides.at(rival), sides.at(losers[pair_of]))
    # The greatest overlap; of equal ones the best box, which stands first.
    nearest = np.lexsort((rival, -overlaps, pair_of))
    nearest = nearest[ranks(pair_of[nearest]) == 0]
    owner = np.empty(len(order), dtype=np.int64)
    owner[order[losers]] = state.alive[order[rival[nearest]]]
    return goes, owner[np.flatnonzero(goes)]


def _cap(state: _State, policy: FilterPolicy) -> None:
    """Top-k of each phrase, then of the image. A box that carries several phrases counts once,
    for its own."""
    for limit, by, reason in (
        (policy.max_boxes_per_phrase, "phrase", PHRASE_TOP_K),
        (policy.max_boxes_per_image, "row", IMAGE_CAP),
    ):
        if limit is None:
            continue
        groups = state.phrases() if by == "phrase" else state.rows()
        order = best_first(groups, state.scores[state.alive])
        goes = np.zeros(len(order), dtype=bool)
        goes[order] = ranks(groups[order]) >= limit
        state.drop(goes, reason)


def _image_codes(state: _State, policy: FilterPolicy) -> NDArray[np.uint8]:
    candidates, rows = state.candidates, state.rows()
    scores = state.scores[state.alive]
    kept = np.bincount(rows, minlength=candidates.num_rows)
    codes = np.zeros(candidates.num_rows, dtype=np.uint8)
    codes[kept < policy.min_boxes] = IMAGE_CODE_OF[TOO_FEW_BOXES]
    if policy.min_best_score > 0:
        best = np.zeros(candidates.num_rows, dtype=np.float32)
        np.maximum.at(best, rows, scores)
        low = (best <= np.float32(policy.min_best_score)) & (codes == 0)
        codes[low] = IMAGE_CODE_OF[LOW_BEST_SCORE]
    if policy.min_image_score > 0 and candidates.image_scores is not None:
        total = np.bincount(rows, weights=scores, minlength=candidates.num_rows)
        mean = total / np.maximum(kept, 1)
        low = np.sqrt(candidates.image_scores * mean) <= policy.min_image_score
        codes[low & (codes == 0)] = IMAGE_CODE_OF[LOW_IMAGE_SCORE]
    for name, floor in policy.layer_thresholds.items():
        if NUMBERS[name] == "record_id":
            low = ~(_layer(candidates, policy, name) > np.float32(floor))
            codes[low & (codes == 0)] = IMAGE_CODE_OF[LOW_LAYER_IMAGE]
    return codes


def _layer(candidates: Candidates, policy: FilterPolicy, name: str) -> NDArray[np.float32]:
    if name not in candidates.layers:
        raise ConfigError(
            f"policy {policy.name!r} reads {name} (layer_thresholds), which is not given here: "
            "glipforge filter and export read it from the layer that `glipforge enrich` makes"
        )
    return candidates.layers[name]
