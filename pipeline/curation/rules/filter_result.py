"""What the filter rules say: reasons and their codes, results, the counts over a whole run."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import with_config

from pipeline.curation.rules.candidates import Candidates, Ints
from pipeline.curation.rules.overlap import best_first
from schemas.checked import STRICT
from schemas.counts import Counts, Number
from schemas.records import Status

KEPT = ""
MERGED = "merged"
PHRASE_WORD = "phrase: head noun on a drop list"
PHRASE_NONWORD = "phrase: number, URL or single character"
PHRASE_ENTITY = "phrase: named entity of a class to drop"
LOW_SCORE = "score: not above the threshold"
LOW_OWN_SCORE = "score: not above the threshold of its phrase or class"
LOW_PRECISION = "score: not above the threshold of the promised precision"
LOW_LAYER = "layer: not above the threshold"
HIGH_SCORE = "score: above the ceiling"
SMALL_SIDE = "size: side too short"
PHRASE_NMS = "overlap: worse box of the same phrase"
WHOLE_IMAGE = "size: whole image"
LONG_SPAN = "size: most of the image for most of the caption"
INSIDE_SAME = "overlap: inside a better box of the same phrase"
INSIDE_OTHER = "overlap: inside a better box of another phrase"
CROSS_PHRASE = "overlap: worse box of another phrase"
PHRASE_TOP_K = "count: beyond the best of its phrase"
IMAGE_CAP = "count: beyond the best of its image"

BOX_REASONS = (
    PHRASE_WORD,
    PHRASE_NONWORD,
    PHRASE_ENTITY,
    LOW_SCORE,
    LOW_OWN_SCORE,
    LOW_PRECISION,
    LOW_LAYER,
    HIGH_SCORE,
    SMALL_SIDE,
    PHRASE_NMS,
    INSIDE_SAME,
    WHOLE_IMAGE,
    LONG_SPAN,
    CROSS_PHRASE,
    INSIDE_OTHER,
    PHRASE_TOP_K,
    IMAGE_CAP,
)
"""Every reason a rule can give for a box, in the order in which the rules run."""

TOO_FEW_BOXES = "image: too few boxes"
LOW_BEST_SCORE = "image: best box not above the threshold"
LOW_IMAGE_SCORE = "image: image score not above the threshold"
LOW_LAYER_IMAGE = "image: layer not above the threshold"
IMAGE_REASONS = (TOO_FEW_BOXES, LOW_BEST_SCORE, LOW_IMAGE_SCORE, LOW_LAYER_IMAGE)


REASONS = (KEPT, MERGED, *BOX_REASONS)
"""A box's code is the place of its reason here: 0 is kept, 1 is merged."""
CODE_OF = {reason: code for code, reason in enumerate(REASONS)}
ALL_IMAGE_REASONS = (KEPT, *IMAGE_REASONS)
"""Likewise for pairs."""
IMAGE_CODE_OF = {reason: code for code, reason in enumerate(ALL_IMAGE_REASONS)}


@dataclass(frozen=True, slots=True, kw_only=True)
class FilteredBox:
    """A candidate that passed, with the phrases of the candidates that were merged onto it."""

    index: int
    """Position in the annotation's `boxes`."""
    members: tuple[int, ...]
    """Positions of the box itself and of those merged onto it, best first."""
    phrase_indices: tuple[int, ...]
    """The phrases of the members, each once."""
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterResult:
    """What the rules said about one annotation."""

    boxes: tuple[FilteredBox, ...]
    """The boxes that pass, best first; empty where the image rule left the pair out."""
    reasons: tuple[str, ...]
    """One per box of the annotation: `KEPT`, `MERGED`, or a reason of `BOX_REASONS`."""
    image_reason: str
    """`KEPT` or a reason of `IMAGE_REASONS`; `reasons` tells about the boxes all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterOutcome:
    """What the rules said about the candidates of many pairs."""

    codes: NDArray[np.uint8]
    """[N], places in `REASONS`."""
    image_codes: NDArray[np.uint8]
    """[R], places in `ALL_IMAGE_REASONS`; `codes` tells about the boxes all the same."""
    merged_onto: Ints
    """[N], for a merged box the one that took its phrase, else -1."""
    scores: NDArray[np.float32]
    """[N], as the rules saw them."""
    phrase_goes: NDArray[np.bool_]
    """[P], phrases that go with all of their boxes, whatever these are."""

    def labels(self, candidates: Candidates) -> Ints:
        """The boxes that pass, by pair and then best first; none of a pair that is left out."""
        passes = (self.codes == 0) & (self.image_codes[candidates.row_of] == 0)
        kept = np.flatnonzero(passes)
        return kept[best_first(candidates.row_of[kept], self.scores[kept])]

    def members(self, candidates: Candidates, kept: Ints) -> tuple[Ints, Ints]:
        """For some passing boxes, themselves and what was merged onto them.

        Returns:
            places [M], ascending: which of `kept` a member belongs to; and the members [M], by
            number: the box itself first, then those merged onto it, best first.
        """
        merged = np.flatnonzero(self.codes == 1)
        merged = merged[best_first(candidates.row_of[merged], self.scores[merged])]
        place_of = np.full(len(self.codes), -1, dtype=np.int64)
        place_of[kept] = np.arange(len(kept))
        owners = place_of[self.merged_onto[merged]]
        merged, owners = merged[owners >= 0], owners[owners >= 0]
        places = np.concatenate([np.arange(len(kept)), owners])
        order = np.argsort(places, kind="stable")
        return places[order], np.concatenate([kept, merged])[order]

    def row_result(self, candidates: Candidates, row: int) -> FilterResult:
        """What was said about one pair."""
        start, stop = (int(n) for n in candidates.box_offsets[row : row + 2])
        first_phrase = int(candidates.phrases.offsets[row])
        inside = np.arange(start, stop)
        own = inside[self.codes[start:stop] == 0]
        own = own[np.argsort(-self.scores[own], kind="stable")]
        merged = inside[self.codes[start:stop] == 1]
        merged = merged[np.argsort(-self.scores[merged], kind="stable")]
        boxes = []
        for index in own if self.image_codes[row] == 0 else ():
            members = [int(index), *(int(m) for m in merged if self.merged_onto[m] == index)]
            phrases = dict.fromkeys(int(candidates.phrase_of[m]) - first_phrase for m in members)
            boxes.append(
                FilteredBox(
                    index=int(index) - start,
                    members=tuple(member - start for member in members),
                    phrase_indices=tuple(phrases),
                    score=float(self.scores[index]),
                )
            )
        return FilterResult(
            boxes=tuple(boxes),
            reasons=tuple(REASONS[code] for code in self.codes[start:stop]),
            image_reason=ALL_IMAGE_REASONS[self.image_codes[row]],
        )


@with_config(STRICT)
@dataclass(kw_only=True)
class DropCounts:
    """What a policy did to a stream of annotations. Boxes in = kept + merged + sum of drops."""

    records: Number = 0
    """Pairs that were seen and have a usable status."""
    records_kept: Number = 0
    boxes: Number = 0
    boxes_kept: Number = 0
    boxes_merged: Number = 0
    boxes_dropped: Counts = field(default_factory=Counter)
    """Reason of `BOX_REASONS` or `IMAGE_REASONS` -> boxes."""
    records_dropped: Counts = field(default_factory=Counter)
    """Status or reason of `IMAGE_REASONS` -> pairs."""

    def merge(self, other: DropCounts) -> None:
        """Add the counts of another part of the stream."""
        for name, value in vars(other).items():
            if isinstance(value, Counter):
                getattr(self, name).update(value)
            else:
                setattr(self, name, getattr(self, name) + value)

    def add(self, candidates: Candidates, outcome: FilterOutcome) -> None:
        """Count some pairs."""
        self.records += candidates.num_rows
        self.boxes += candidates.num_boxes
        left_out = outcome.image_codes != 0
        self.records_kept += int((~left_out).sum())
        for reason, number in _left_out(candidates, outcome, left_out):
            self.records_dropped[reason] += number
        names = (*REASONS, *ALL_IMAGE_REASONS)
        counts = np.bincount(outcome.codes, minlength=len(names))
        # A box that the rules keep goes with its pair, and is counted there.
        passes = np.flatnonzero(outcome.codes <= 1)
        image_code = outcome.image_codes[candidates.row_of[passes]]
        goes = image_code > 0
        counts[:2] -= np.bincount(outcome.codes[passes[goes]], minlength=2)
        counts[len(REASONS) :] += np.bincount(image_code[goes], minlength=len(ALL_IMAGE_REASONS))
        self.boxes_kept += int(counts[0])
        self.boxes_merged += int(counts[1])
        for reason, number in list(zip(names, counts.tolist(), strict=True))[2:]:
            if number:
                self.boxes_dropped[reason] += number


def _left_out(
    candidates: Candidates, outcome: FilterOutcome, left_out: NDArray[np.bool_]
) -> list[tuple[str, int]]:
    """Why pairs are left out: their status where that says it, else the image rule."""
    statuses = pc.unique(candidates.statuses).to_pylist()
    found = []
    for status in statuses:
        own = left_out & pc.equal(candidates.statuses, status).to_numpy(zero_copy_only=False)
        if status != Status.OK.value:
            found.append((status, int(own.sum())))
            continue
        counts = np.bincount(outcome.image_codes[own], minlength=len(ALL_IMAGE_REASONS))
        found += list(zip(ALL_IMAGE_REASONS, counts.tolist(), strict=True))
    return [(reason, number) for reason, number in found if number]
