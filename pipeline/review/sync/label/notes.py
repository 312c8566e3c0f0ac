"""What is known about a box beside its label: why the queue suspects it, whether an audit drew it,
and how soon the App shows it. Notes guide people; no decision is made of them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
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
SHOWN = 1.0
_HIDDEN = 0.99
NUMBER_FIELDS = (QUEUE_SCORE, LOWEST_SCORE, MARGIN, OVERLAP)
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


NO_NOTES = Notes()


def box_notes(box: Standing, notes: Notes, kept: frozenset[str] | None) -> dict[str, Any]:
    """The attributes of one label."""
    decided = box.review != Review.PENDING or box.origin == Origin.HUMAN
    shown = kept is None or box.box_id in kept or decided or box.score is None
    found = notes.suspects.get(box.box_id)
    return {
        LEVEL: SHOWN if shown else min(float(box.score or 0.0), _HIDDEN),
        QUEUE_SCORE: None if found is None else found.score,
        QUEUE_REASONS: [] if found is None else list(found.reasons),
        AUDIT: box.box_id in notes.audited,
    }


def pair_notes(
    row: Annotation, boxes: Sequence[Standing], notes: Notes, decided: Iterable[Decision] = ()
) -> dict[str, Any]:
    """The fields of a sample, from the boxes that it shows."""
    scores = [box.score for box in boxes if box.score is not None]
    found = [notes.suspects[box.box_id] for box in boxes if box.box_id in notes.suspects]
    if row.record_id in notes.missing:
        found.append(notes.missing[row.record_id])
    found.sort(key=lambda one: -one.score)
    return {
        QUEUE_SCORE: found[0].score if found else None,
        QUEUE_REASONS: list(dict.fromkeys(reason for one in found for reason in one.reasons)),
        AUDIT: any(box.box_id in notes.audited for box in boxes),
        LOWEST_SCORE: min(map(float, scores), default=None),
        MARGIN: least_margin(row, boxes),
        OVERLAP: most_overlap(boxes),
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


def least_margin(row: Annotation, boxes: Sequence[Standing]) -> float | None:
    """By how little the last box that a phrase names beats the next one; None where none is next.

    Where it is small, a little noise would have chosen another box.
    """
    found: list[float] = []
    for index, phrase in enumerate(row.phrases):
        of_phrase = [b.score for b in boxes if b.phrase_index == index and b.score is not None]
        scores = sorted(of_phrase, reverse=True)
        named = max(named_number(phrase.text), 1)
        if len(scores) > named:
            found.append(round(float(scores[named - 1] - scores[named]), 4))
    return min(found, default=None)
