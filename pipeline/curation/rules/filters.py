"""The rules of a filter policy, over the candidates of many pairs at once.

A rule is an operation over flat arrays that writes its code into `codes`, so each box that goes is
counted under exactly one rule: the first that dropped it. The result of a pair is the same
whichever pairs it is filtered with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pipeline.curation.rules.candidates import Candidates, candidates_of_rows
from pipeline.curation.rules.filter_result import (
    CODE_OF,
    HIGH_SCORE,
    IMAGE_CAP,
    IMAGE_CODE_OF,
    LONG_SPAN,
    LOW_BEST_SCORE,
    LOW_IMAGE_SCORE,
    LOW_LAYER,
    LOW_LAYER_IMAGE,
    LOW_OWN_SCORE,
    LOW_PRECISION,
    LOW_SCORE,
    MERGED,
    PHRASE_TOP_K,
    SMALL_SIDE,
    TOO_FEW_BOXES,
    WHOLE_IMAGE,
    FilterOutcome,
    FilterResult,
)
from pipeline.curation.rules.filter_state import FilterState
from pipeline.curation.rules.layer_scores import scored
from pipeline.curation.rules.overlap import best_first, ranks
from pipeline.curation.rules.overlap_rules import resolve_across_phrases, suppress_within_phrases
from pipeline.curation.rules.phrase_rules import phrase_codes, phrase_thresholds
from pipeline.curation.rules.policy import FilterPolicy
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
            f"policy {policy.name!r} asks for min_precision {policy.min_precision}, which no score "
            "threshold is known for here: only a calibrated run knows one. Take a policy with a "
            "score_threshold, or `glipforge filter` on a run that `glipforge calibrate` calibrated"
        )
    candidates = scored(candidates, policy)
    state = FilterState(candidates, _scores(candidates, policy))
    goes = phrase_codes(candidates.phrases, policy)
    _drop_by_phrase_and_score(state, policy, precision_threshold, goes)
    state.look_closer()
    sides = state.boxes[:, 2:] - state.boxes[:, :2]
    state.drop(sides.min(axis=1) < policy.min_side_px, SMALL_SIDE)
    suppress_within_phrases(state, policy)
    _drop_large(state, policy)
    merged_onto = resolve_across_phrases(state, policy)
    _cap(state, policy)
    # What was merged onto a box that goes is dropped with it, by the same rule.
    merged = np.flatnonzero(state.codes == CODE_OF[MERGED])
    state.codes[merged] = np.maximum(state.codes[merged_onto[merged]], CODE_OF[MERGED])
    image_codes = _image_codes(state, policy)
    if precision_threshold is not None and policy.min_image_score > 0:
        # Without its weak boxes a pair's mean rises. Which pairs stay is asked of all of its
        # boxes: the promise is about labels that the policy keeps without the threshold too.
        whole = filter_candidates(candidates, replace(policy, min_precision=None))
        low = (whole.image_codes == IMAGE_CODE_OF[LOW_IMAGE_SCORE]) & (image_codes == 0)
        image_codes[low] = IMAGE_CODE_OF[LOW_IMAGE_SCORE]
    return FilterOutcome(
        codes=state.codes,
        image_codes=image_codes,
        merged_onto=np.where(state.codes == CODE_OF[MERGED], merged_onto, -1),
        scores=state.scores,
        phrase_goes=goes != 0,
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


def _scores(candidates: Candidates, policy: FilterPolicy) -> NDArray[np.float32]:
    if not policy.region_scores:
        return candidates.scores
    if candidates.region_scores is None:
        raise ConfigError(
            f"policy {policy.name!r} multiplies each score by a second model's score of the region "
            f"(region_scores {policy.region_scores!r}), and there are none here: `glipforge enrich "
            "RUN` makes them, `glipforge filter` and `export` read them"
        )
    return candidates.scores * candidates.region_scores


def _drop_by_phrase_and_score(
    state: FilterState,
    policy: FilterPolicy,
    precision_threshold: float | None,
    codes: NDArray[np.uint8],
) -> None:
    candidates, scores = state.candidates, state.scores
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


def _drop_large(state: FilterState, policy: FilterPolicy) -> None:
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


def _cap(state: FilterState, policy: FilterPolicy) -> None:
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


def _image_codes(state: FilterState, policy: FilterPolicy) -> NDArray[np.uint8]:
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
            f"policy {policy.name!r} reads {name} (layer_thresholds), which is not known here: "
            "`glipforge enrich RUN` makes the layer, `glipforge filter` and `export` read it"
        )
    return candidates.layers[name]
