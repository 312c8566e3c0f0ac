"""What the filter rules say about a pair: reasons, results, and the counts over a whole run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from schemas.records import Annotation, Status

KEPT = ""
MERGED = "merged"
PHRASE_WORD = "phrase: head noun on a drop list"
PHRASE_NONWORD = "phrase: number, URL or single character"
LOW_SCORE = "score: not above the threshold"
HIGH_SCORE = "score: above the ceiling"
SMALL_SIDE = "size: side too short"
PHRASE_NMS = "overlap: worse box of the same phrase"
WHOLE_IMAGE = "size: whole image"
LONG_SPAN = "size: most of the image for most of the caption"
CROSS_PHRASE = "overlap: worse box of another phrase"
PHRASE_TOP_K = "count: beyond the best of its phrase"
IMAGE_CAP = "count: beyond the best of its image"

BOX_REASONS = (
    PHRASE_WORD,
    PHRASE_NONWORD,
    LOW_SCORE,
    HIGH_SCORE,
    SMALL_SIDE,
    PHRASE_NMS,
    WHOLE_IMAGE,
    LONG_SPAN,
    CROSS_PHRASE,
    PHRASE_TOP_K,
    IMAGE_CAP,
)
"""Every reason a rule can give for a box, in the order in which the rules run."""

TOO_FEW_BOXES = "image: too few boxes"
LOW_BEST_SCORE = "image: best box not above the threshold"
LOW_IMAGE_SCORE = "image: image score not above the threshold"
IMAGE_REASONS = (TOO_FEW_BOXES, LOW_BEST_SCORE, LOW_IMAGE_SCORE)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionScores:
    """Scores of a second model for one pair (a CLIP): one per box, and one for the whole image."""

    by_box: Mapping[str, float]
    """box_id -> score in [0, 1]."""
    image: float
    """How well the caption fits the whole image, in [0, 1]."""


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


@dataclass(kw_only=True)
class DropCounts:
    """What a policy did to a stream of annotations. Boxes in = kept + merged + sum of drops."""

    records: int = 0
    """Pairs that were seen and have a usable status."""
    records_kept: int = 0
    boxes: int = 0
    boxes_kept: int = 0
    boxes_merged: int = 0
    boxes_dropped: Counter[str] = field(default_factory=Counter)
    """Reason of `BOX_REASONS` or `IMAGE_REASONS` -> boxes."""
    records_dropped: Counter[str] = field(default_factory=Counter)
    """Status or reason of `IMAGE_REASONS` -> pairs."""

    def merge(self, other: DropCounts) -> None:
        """Add the counts of another part of the stream."""
        for name, value in vars(other).items():
            if isinstance(value, Counter):
                getattr(self, name).update(value)
            else:
                setattr(self, name, getattr(self, name) + value)

    def add(self, row: Annotation, result: FilterResult) -> None:
        """Count one annotation."""
        self.records += 1
        self.boxes += len(row.boxes)
        if result.image_reason != KEPT:
            reason = row.status.value if row.status != Status.OK else result.image_reason
            self.records_dropped[reason] += 1
        else:
            self.records_kept += 1
        for reason in result.reasons:
            passes = reason in (KEPT, MERGED)
            if passes and result.image_reason != KEPT:
                self.boxes_dropped[result.image_reason] += 1
            elif reason == KEPT:
                self.boxes_kept += 1
            elif reason == MERGED:
                self.boxes_merged += 1
            else:
                self.boxes_dropped[reason] += 1
