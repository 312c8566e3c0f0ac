"""What is known about a box beside its label: why the queue suspects it, whether an audit drew it,
and how soon the App shows it. Notes guide people; no decision is made of them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from pipeline.curation.agreement import conflicts
from pipeline.curation.box_state import Origin, Review, Standing
from pipeline.trust.signals import named_number
from schemas.boxes import pairwise_iou
from schemas.records import Annotation, Decision

LEVEL = "level"
"""Attribute of a label: 1 where it shows by default, else the teacher's score, below 1."""
QUEUE_SCORE, QUEUE_REASONS, AUDIT = "queue_score", "queue_reasons", "audit"
"""Attributes of a label, and fields of its sample."""
LOWEST_SCORE, MARGIN, OVERLAP, DISAGREEMENT = "lowest_score", "margin", "overlap", "disagreement"
RAREST_PHRASE = "rarest_phrase"
"""Fields of a sample."""
STABILITY = "stability"
"""Attribute of a label: how well the teacher finds it again in changed images; field of its sample:
the least of those that show."""
SHOWN = 1.0
_HIDDEN = 0.99
NUMBER_FIELDS = (QUEUE_SCORE, LOWEST_SCORE, STABILITY, MARGIN, OVERLAP)
"""By which the App sorts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspicion:
    """Why something is probably wrong."""

    score: float
    """The greater, the more suspicious."""
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Notes:
    """What a run knows about its boxes."""

    suspects: Mapping[str, Suspicion] = field(default_factory=dict)
    """By box id."""
    missing: Mapping[str, Suspicion] = field(default_factory=dict)
    """By record id: phrases that name more things than have a box."""
    audited: frozenset[str] = frozenset()
    """Boxes that an audit drew."""
    keeps: Callable[[Annotation], frozenset[str]] | None = None
    """The boxes of a pair that show by default; None: all."""
    again: Callable[[Annotation], Mapping[str, float]] | None = None
    """The layer `stability` of a pair, by box id; None where the run does not have it."""
    said: tuple[str, ...] = ()
    """What the run has and cannot be used, in sentences."""


NO_NOTES = Notes()


def box_notes(
    box: Standing, notes: Notes, kept: frozenset[str] | None, again: float | None = None
) -> dict[str, Any]:
    """The attributes of one label; `kept` are those that show by default, `again` is its
    stability."""
    decided = box.review != Review.PENDING or box.origin == Origin.HUMAN
    shown = kept is None or box.box_id in kept or decided or box.score is None
    found = notes.suspects.get(box.box_id)
    return {
        LEVEL: SHOWN if shown else min(float(box.score or 0.0), _HIDDEN),
        QUEUE_SCORE: None if found is None else found.score,
        QUEUE_REASONS: [] if found is None else list(found.reasons),
        AUDIT: box.box_id in notes.audited,
        STABILITY: again,
    }


def pair_notes(
    row: Annotation,
    boxes: Sequence[Standing],
    notes: Notes,
    decided: Iterable[Decision] = (),
    of_boxes: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
) -> dict[str, Any]:
    """The fields of a sample.

    Args:
        row: the pair.
        boxes: those that were pushed, also what the policy leaves out: one of them may be a rival.
        notes: what the run knows.
        decided: the decisions about the pair.
        of_boxes: box id -> its `box_notes`; scores and overlaps are of what they show by default.
    """
    shown = [box for box in boxes if of_boxes.get(box.box_id, {}).get(LEVEL, SHOWN) >= SHOWN]
    scores = [box.score for box in shown if box.score is not None]
    again = [of_boxes.get(box.box_id, {}).get(STABILITY) for box in shown]
    found = [notes.suspects[box.box_id] for box in boxes if box.box_id in notes.suspects]
    if row.record_id in notes.missing:
        found.append(notes.missing[row.record_id])
    found.sort(key=lambda one: -one.score)
    return {
        QUEUE_SCORE: found[0].score if found else None,
        QUEUE_REASONS: list(dict.fromkeys(reason for one in found for reason in one.reasons)),
        AUDIT: any(box.box_id in notes.audited for box in boxes),
        LOWEST_SCORE: min(map(float, scores), default=None),
        STABILITY: min((score for score in again if score is not None), default=None),
        MARGIN: least_margin(row, boxes, {box.phrase_index for box in shown}),
        OVERLAP: most_overlap(shown),
        DISAGREEMENT: len(conflicts(list(decided))),
    }


def most_overlap(boxes: Sequence[Standing]) -> float:
    """The greatest IoU of two boxes of different phrases; 0 where there are none."""
    if len(boxes) < 2:
        return 0.0
    places = np.array([box.xyxy for box in boxes], np.float64)
    phrases = np.array([box.phrase_index for box in boxes])
    iou = np.where(phrases[:, None] != phrases[None, :], pairwise_iou(places, places), 0.0)
    return round(float(iou.max()), 4)


def least_margin(
    row: Annotation, boxes: Sequence[Standing], phrases: Collection[int]
) -> float | None:
    """By how little the last box that one of these phrases names beats the next one; None where
    none is next.

    Where it is small, a little noise would have chosen another box.
    """
    found: list[float] = []
    for index, phrase in enumerate(row.phrases):
        of_phrase = [b.score for b in boxes if b.phrase_index == index and b.score is not None]
        scores = sorted(of_phrase, reverse=True)
        named = max(named_number(phrase.text), 1)
        if index in phrases and len(scores) > named:
            found.append(round(float(scores[named - 1] - scores[named]), 4))
    return min(found, default=None)
