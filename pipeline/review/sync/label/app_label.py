"""What one label in the App says about a box: its word, its geometry, its phrase. Pure.

People may type any text as a label, move a box anywhere and change every attribute; whatever cannot
be understood is a `Conflict` with a sentence, never a guess.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from pipeline.curation.box_state import Review, Standing
from schemas.records import Annotation, Phrase, Xyxy

SAME_SHARE = 1e-9
"""Relative coordinates this close are the same: a browser's arithmetic moves the last bit."""
TAG_ACCEPT, TAG_REJECT = "accept", "reject"


class ConflictKind(StrEnum):
    """Why a change in the App did not become a decision, or did so with a doubt."""

    NO_SUCH_PHRASE = "no_such_phrase"
    PHRASE_OUT_OF_RANGE = "phrase_out_of_range"
    LABEL_AND_PHRASE_DIFFER = "label_and_phrase_differ"
    AMBIGUOUS_PHRASE = "ambiguous_phrase"  # the first of several was taken
    BAD_BOX = "bad_box"
    BAD_REVIEW = "bad_review"
    TAGS_DIFFER = "tags_differ"
    NEEDS_REASON = "needs_reason"
    BAD_LABEL = "bad_label"
    UNKNOWN_SAMPLE = "unknown_sample"
    PHRASE_TAKEN = "phrase_taken"


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """Something a reviewer did that needs another look."""

    record_id: str
    box_id: str
    """Empty where it is about the whole sample."""
    kind: ConflictKind
    detail: str


class NotUnderstood(Exception):
    """A label that says nothing usable; caught where labels are read."""

    def __init__(self, kind: ConflictKind, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """A label as understood."""

    review: Review
    xyxy: Xyxy
    phrase_index: int
    doubt: str = ""
    """Why the phrase may be the wrong one; empty where it is certain."""

    def same_as(self, standing: Standing) -> bool:
        """True where nobody changed the label since it showed `standing`."""
        return (
            self.review == standing.review
            and self.phrase_index == standing.phrase_index
            and self.xyxy == as_float32(standing.xyxy)
        )


def observe(label: Mapping[str, Any], row: Annotation, base: Standing | None) -> Observed:
    """Understand one label document.

    Args:
        label: the document of a FiftyOne detection.
        row: the pair it belongs to.
        base: what the label showed when it was last written by push or pull; None for a box drawn
            since.

    Raises:
        NotUnderstood: with the kind of conflict and a sentence.
    """
    phrase_index, doubt = _observed_phrase(label, row.phrases, base)
    return Observed(
        review=_observed_review(label, base),
        xyxy=_observed_box(label, row, base),
        phrase_index=phrase_index,
        doubt=doubt,
    )


def as_float32(xyxy: Sequence[float]) -> Xyxy:
    """The corners as the tables hold them."""
    x0, y0, x1, y1 = (float(np.float32(v)) for v in xyxy)
    return (x0, y0, x1, y1)


def _observed_review(label: Mapping[str, Any], base: Standing | None) -> Review:
    raw = label.get("review")
    if raw is None:
        raw = Review.ACCEPTED if base is None else Review.PENDING  # drawing a box is accepting it
    try:
        review = Review(raw)
    except ValueError:
        raise NotUnderstood(
            ConflictKind.BAD_REVIEW,
            f"review must be one of {', '.join(Review)}, got {raw!r}",
        ) from None
    if review != Review.PENDING:
        return review
    tags = set(label.get("tags") or ())
    if {TAG_ACCEPT, TAG_REJECT} <= tags:
        raise NotUnderstood(
            ConflictKind.TAGS_DIFFER,
            f"the label is tagged both {TAG_ACCEPT!r} and {TAG_REJECT!r}; remove one",
        )
    if TAG_REJECT in tags:
        return Review.REJECTED
    return Review.ACCEPTED if TAG_ACCEPT in tags else review


def _observed_box(label: Mapping[str, Any], row: Annotation, base: Standing | None) -> Xyxy:
    raw = label.get("bounding_box")
    if (
        not isinstance(raw, list | tuple)
        or len(raw) != 4
        or not all(isinstance(v, float | int) and math.isfinite(v) for v in raw)
    ):
        raise NotUnderstood(
            ConflictKind.BAD_BOX, f"bounding_box must be four finite numbers, got {raw!r}"
        )
    shares = (raw[0], raw[1], raw[0] + raw[2], raw[1] + raw[3])
    sides = (row.width, row.height, row.width, row.height)
    corners: list[float] = []
    for position, (share, side) in enumerate(zip(shares, sides, strict=True)):
        shown = None if base is None else base.xyxy[position]
        if shown is not None and abs(share - shown / side) <= SAME_SHARE:
            corners.append(shown)  # untouched: exactly the number it came from
        else:
            corners.append(min(max(share * side, 0.0), float(side)))
    x0, y0, x1, y1 = as_float32(corners)
    if x1 <= x0 or y1 <= y0:
        raise NotUnderstood(
            ConflictKind.BAD_BOX,
            f"the box {raw!r} has no area inside the image of {row.width} x {row.height} pixels",
        )
    return (x0, y0, x1, y1)


def _observed_phrase(
    label: Mapping[str, Any], phrases: Sequence[Phrase], base: Standing | None
) -> tuple[int, str]:
    text = label.get("label")
    text = text if isinstance(text, str) and text.strip() else None
    index = label.get("phrase_index")
    if isinstance(index, float) and index.is_integer():
        index = int(index)  # a browser sends every number as a double
    if index is not None and (isinstance(index, bool) or not isinstance(index, int)):
        raise NotUnderstood(
            ConflictKind.PHRASE_OUT_OF_RANGE, f"phrase_index must be a whole number, got {index!r}"
        )
    known = None if base is None else base.phrase_index
    if known is not None:
        if text is None or _alike(text, phrases[known].text):
            text = None  # says nothing new
        if index == known:
            index = None
        if text is None and index is None:
            return known, ""
    if index is not None and not 0 <= index < len(phrases):
        raise NotUnderstood(
            ConflictKind.PHRASE_OUT_OF_RANGE,
            f"phrase_index must be in [0, {len(phrases)}), got {index!r}",
        )
    if index is not None:
        if text is not None and not _alike(text, phrases[index].text):
            raise NotUnderstood(
                ConflictKind.LABEL_AND_PHRASE_DIFFER,
                f"the label says {text!r} and phrase_index {index} is {phrases[index].text!r}",
            )
        return index, ""
    matches = [] if text is None else [i for i, p in enumerate(phrases) if _alike(text, p.text)]
    if not matches:
        allowed = ", ".join(repr(p.text) for p in phrases) or "none"
        if text is None and base is None:
            raise NotUnderstood(
                ConflictKind.NO_SUCH_PHRASE,
                f"the drawn box has no phrase yet; give it one of the caption's: {allowed}",
            )
        raise NotUnderstood(
            ConflictKind.NO_SUCH_PHRASE,
            f"the label {text!r} is not a phrase of this caption; its phrases: {allowed}",
        )
    if len(matches) == 1:
        return matches[0], ""
    return matches[0], (
        f"the label {text!r} is the text of the phrases {matches}; phrase {matches[0]} was taken, "
        "set phrase_index to choose"
    )


def _alike(typed: str, text: str) -> bool:
    return typed == text or typed.strip().casefold() == text.casefold()
