"""One label of the App, joined to its box and understood. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bson import ObjectId

from pipeline.curation.box_state import BoxHistory, Standing
from pipeline.review.sync.label.app_label import NotUnderstood, Observed, observe
from pipeline.review.sync.label.documents import BOXES, drawn_box_id, label_object_id
from pipeline.review.sync.label.stamp import Stamp, label_stamp
from schemas.records import Annotation

PLACE = "bounding_box"
SAME_PLACE = 1e-6
"""Relative coordinates this close are one place: decisions hold corners in 32 bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One label joined to its box."""

    box_id: str
    history: BoxHistory | None
    """None for a box drawn since the last pull."""
    base: Standing | None
    """What the label showed when push or pull last wrote it."""
    observed: Observed | None
    """None where the label cannot be understood."""
    problem: NotUnderstood | None
    stamp: Stamp | None = None
    """Who changed it since push or pull last wrote it, where that is known."""

    @property
    def untouched(self) -> bool:
        """True where nobody changed the label, or gave the same word again, since then."""
        return (
            self.base is not None
            and self.stamp is None
            and self.observed is not None
            and self.observed.same_as(self.base)
        )


def labels_of(document: Mapping[str, Any]) -> list[Any]:
    """The label documents of a sample; none, null and empty are the same."""
    return list((document.get(BOXES) or {}).get("detections") or [])


def is_same_place(one: Any, other: Any) -> bool:
    """True where a place is another's as pull and push write it again: in 32 bits."""
    if not isinstance(one, list) or not isinstance(other, list) or len(one) != len(other):
        return False
    return all(abs(a - b) <= SAME_PLACE for a, b in zip(one, other, strict=True))


def histories_by_label(histories: Mapping[str, BoxHistory]) -> dict[ObjectId, BoxHistory]:
    """The same boxes by the ids of their labels."""
    return {label_object_id(box_id): history for box_id, history in histories.items()}


def see_label(
    label: Mapping[str, Any], row: Annotation, by_label: Mapping[ObjectId, BoxHistory]
) -> Seen:
    """Join a label to its box by the label's id, and understand it.

    The attribute `box_id` is not trusted: FiftyOne's REST interface lets anybody write it.
    """
    history = by_label.get(label["_id"])
    box_id = drawn_box_id(row.record_id, label["_id"]) if history is None else history.box_id
    base = None
    if history is not None:
        base = history.as_of(str(label.get("decision_id") or ""))
        if base is None and history.candidate is not None:
            base = history.as_of("")  # an unknown decision: its files are gone
    try:
        observed, problem = observe(label, row, base), None
    except NotUnderstood as error:
        observed, problem = None, error
    stamp = label_stamp(label)
    if stamp is not None and base is not None and stamp == Stamp(base.reviewer, base.reviewed_at):
        stamp = None  # of the decision that the label shows
    return Seen(
        box_id=box_id,
        history=history,
        base=base,
        observed=observed,
        problem=problem,
        stamp=stamp,
    )
