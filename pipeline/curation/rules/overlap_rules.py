"""The rules about boxes at one place: suppressed, merged, or inside of another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.curation.rules.candidates import Ints
from pipeline.curation.rules.filter_result import (
    CROSS_PHRASE,
    INSIDE_OTHER,
    INSIDE_SAME,
    MERGED,
    PHRASE_NMS,
)
from pipeline.curation.rules.filter_state import FilterState
from pipeline.curation.rules.overlap import IOU, SHARE_INSIDE, Sides, ranks, suppressed
from pipeline.curation.rules.policy import FilterPolicy


def suppress_within_phrases(state: FilterState, policy: FilterPolicy) -> None:
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


def resolve_across_phrases(state: FilterState, policy: FilterPolicy) -> Ints:
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


def _rivals(state: FilterState, policy: FilterPolicy) -> tuple[NDArray[np.bool_], Ints]:
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
