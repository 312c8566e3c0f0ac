"""A sample as people left it, read against what stands: changes, conflicts, undecided. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bson import ObjectId

from pipeline.review.sync.app_label import (
    Conflict,
    ConflictKind,
    NotUnderstood,
    Observed,
    as_float32,
    observe,
)
from pipeline.review.sync.box_state import BoxHistory, Review, Standing
from pipeline.review.sync.documents import BOXES, drawn_box_id, label_object_id
from schemas.records import Annotation, Decision, Verdict, Xyxy

Desired = tuple[Verdict, Xyxy | None, int | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A decision that the App holds and the run does not."""

    box_id: str
    verdict: Verdict
    xyxy: Xyxy | None
    phrase_index: int | None


@dataclass(slots=True)
class Reading:
    """What one sample says."""

    record_id: str
    changes: list[Change] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    settled: dict[ObjectId, str] = field(default_factory=dict)
    """Labels that people changed and that are understood, with their box ids."""
    deleted: list[str] = field(default_factory=list)
    """Boxes that people removed from the sample."""
    undecided: int = 0
    """Boxes on which nobody has said a word."""


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

    @property
    def untouched(self) -> bool:
        """True where nobody changed the label since push or pull last wrote it."""
        return (
            self.base is not None and self.observed is not None and self.observed.same_as(self.base)
        )


def labels_of(document: Mapping[str, Any]) -> list[Any]:
    """The label documents of a sample; none, null and empty are the same."""
    return list((document.get(BOXES) or {}).get("detections") or [])


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
    return Seen(box_id=box_id, history=history, base=base, observed=observed, problem=problem)


def read_sample(
    document: Mapping[str, Any], row: Annotation, histories: Mapping[str, BoxHistory]
) -> Reading:
    """Compare a sample with what stands.

    Args:
        document: the sample as FiftyOne holds it.
        row: its pair.
        histories: every box of the pair with its decisions (`box_histories`).
    """
    reading = Reading(row.record_id)

    def conflict(kind: ConflictKind, box_id: str, detail: str) -> None:
        reading.conflicts.append(
            Conflict(record_id=row.record_id, box_id=box_id, kind=kind, detail=detail)
        )

    by_label = histories_by_label(histories)
    present: set[ObjectId] = set()
    for position, label in enumerate(labels_of(document)):
        label_id = label.get("_id") if isinstance(label, Mapping) else None
        if not isinstance(label_id, ObjectId):
            conflict(ConflictKind.BAD_LABEL, "", f"label {position} has no _id: {label!r}")
            continue
        if label_id in present:
            conflict(ConflictKind.BAD_LABEL, "", f"two labels have the _id {label_id}")
            continue
        present.add(label_id)
        seen = see_label(label, row, by_label)
        if seen.problem is not None:
            conflict(seen.problem.kind, seen.box_id, seen.problem.detail)
        elif seen.observed is not None:
            _judge(reading, label_id, seen, seen.observed, row, conflict)

    for box_id in document.get("pushed_box_ids") or ():
        history = histories.get(box_id)
        if history is not None and label_object_id(box_id) not in present:
            reading.deleted.append(box_id)
            _decide(reading, box_id, history, (Verdict.DROP, None, None))
    return reading


def _judge(
    reading: Reading,
    label_id: ObjectId,
    seen: Seen,
    observed: Observed,
    row: Annotation,
    conflict: Any,
) -> None:
    base = seen.base
    if seen.untouched:
        reading.undecided += observed.review == Review.PENDING
        return
    if observed.review == Review.PENDING:
        moved = base is not None and (
            observed.phrase_index != base.phrase_index or observed.xyxy != as_float32(base.xyxy)
        )
        if not moved and base is not None and base.review != Review.PENDING:
            conflict(
                ConflictKind.WITHDRAWN,
                seen.box_id,
                f"the box was {base.review} and is pending again; a decision can be replaced, "
                "not taken back: accept or reject it",
            )
            return
        if base is None:
            reading.undecided += 1  # drawn, and set to pending on purpose
            return
    if observed.doubt:
        conflict(ConflictKind.AMBIGUOUS_PHRASE, seen.box_id, observed.doubt)
    desired = _desired(seen, observed)
    if desired is not None:
        if not observed.doubt:  # a doubt stays visible until somebody sets phrase_index
            reading.settled[label_id] = seen.box_id
        _decide(reading, seen.box_id, seen.history, desired)


def _desired(seen: Seen, observed: Observed) -> Desired | None:
    """The decision that says what the label says; None for a drawn box that was rejected."""
    if observed.review == Review.REJECTED:
        return None if seen.history is None else (Verdict.DROP, None, None)
    candidate = None if seen.history is None else seen.history.candidate
    if candidate is None:
        return (Verdict.ADD, observed.xyxy, observed.phrase_index)
    xyxy = None if observed.xyxy == as_float32(candidate.xyxy) else observed.xyxy
    phrase_index = (
        None if observed.phrase_index == candidate.phrase_index else observed.phrase_index
    )
    if xyxy is None and phrase_index is None:
        return (Verdict.KEEP, None, None)
    return (Verdict.EDIT, xyxy, phrase_index)


def _decide(reading: Reading, box_id: str, history: BoxHistory | None, desired: Desired) -> None:
    latest: Decision | None = None if history is None else history.latest
    if latest is not None and desired == _content(latest):
        return
    verdict, xyxy, phrase_index = desired
    reading.changes.append(
        Change(box_id=box_id, verdict=verdict, xyxy=xyxy, phrase_index=phrase_index)
    )


def _content(decision: Decision) -> Desired:
    xyxy = None if decision.xyxy is None else as_float32(decision.xyxy)
    if decision.verdict in (Verdict.KEEP, Verdict.DROP):
        return (decision.verdict, None, None)
    return (decision.verdict, xyxy, decision.phrase_index)
