"""What stands for every box of a pair: the teacher's candidate with the decisions applied. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from schemas.errors import DataError
from schemas.records import Annotation, Decision, GroundedBox, Verdict, Xyxy


class Review(StrEnum):
    """The reviewer's word on a box, as the App shows it."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    FIXED = "fixed"  # accepted after a change


class Origin(StrEnum):
    """Who made a box."""

    TEACHER = "teacher"
    HUMAN = "human"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One box as it stands after one decision, or before any."""

    box_id: str
    xyxy: Xyxy
    phrase_index: int
    score: float | None
    """None for a box that a person drew."""
    review: Review
    origin: Origin
    decision_id: str
    """The decision that this standing comes from; empty before any."""


@dataclass(frozen=True, slots=True)
class BoxHistory:
    """A box and everything that was decided about it, oldest first."""

    box_id: str
    candidate: GroundedBox | None
    """The teacher's box; None for a box that a person drew."""
    decisions: tuple[Decision, ...]

    @property
    def latest(self) -> Decision | None:
        """The decision that wins."""
        return self.decisions[-1] if self.decisions else None

    def current(self) -> Standing:
        """What stands now."""
        return self._after(len(self.decisions))

    def as_of(self, decision_id: str) -> Standing | None:
        """What stood right after one decision; with an empty id, before any.

        None where that decision is not known here, or where the box was not yet drawn.
        """
        if not decision_id:
            return None if self.candidate is None else self._after(0)
        for position, decision in enumerate(self.decisions):
            if decision.decision_id == decision_id:
                return self._after(position + 1)
        return None

    def _after(self, count: int) -> Standing:
        past = self.decisions[:count]
        last = past[-1] if past else None
        if self.candidate is not None:
            xyxy, phrase_index = self.candidate.xyxy, self.candidate.phrase_index
        else:
            drawn = next((d for d in reversed(past) if d.verdict == Verdict.ADD), None)
            if drawn is None or drawn.xyxy is None or drawn.phrase_index is None:
                raise DataError(
                    f"decision {past[0].decision_id if past else ''!r} is about the box "
                    f"{self.box_id!r}, which neither the teacher made nor a person added"
                )
            xyxy, phrase_index = drawn.xyxy, drawn.phrase_index
        if last is not None and last.verdict == Verdict.EDIT:
            xyxy = xyxy if last.xyxy is None else last.xyxy
            phrase_index = phrase_index if last.phrase_index is None else last.phrase_index
        return Standing(
            box_id=self.box_id,
            xyxy=xyxy,
            phrase_index=phrase_index,
            score=None if self.candidate is None else self.candidate.score,
            review=_review_of(last),
            origin=Origin.HUMAN if self.candidate is None else Origin.TEACHER,
            decision_id="" if last is None else last.decision_id,
        )


def _review_of(decision: Decision | None) -> Review:
    if decision is None:
        return Review.PENDING
    return {
        Verdict.KEEP: Review.ACCEPTED,
        Verdict.DROP: Review.REJECTED,
        Verdict.EDIT: Review.FIXED,
        Verdict.ADD: Review.ACCEPTED,
    }[decision.verdict]


def box_histories(row: Annotation, decisions: Iterable[Decision]) -> dict[str, BoxHistory]:
    """Every box of a pair by its id: the teacher's in their order, then those people drew.

    Args:
        row: the annotation.
        decisions: all decisions about this pair, in any order.

    Raises:
        DataError: a decision names a box that neither the teacher made nor a person added, or a
            phrase that the caption does not have.
    """
    by_box: dict[str, list[Decision]] = {box.box_id: [] for box in row.boxes}
    for decision in sorted(decisions, key=lambda d: (d.decided_at, d.decision_id)):
        if decision.phrase_index is not None and decision.phrase_index >= len(row.phrases):
            raise DataError(
                f"decision {decision.decision_id!r} gives phrase_index {decision.phrase_index}; "
                f"{row.record_id!r} has {len(row.phrases)} phrases"
            )
        by_box.setdefault(decision.box_id, []).append(decision)
    candidates = {box.box_id: box for box in row.boxes}
    histories = {
        box_id: BoxHistory(box_id, candidates.get(box_id), tuple(of_box))
        for box_id, of_box in by_box.items()
    }
    for history in histories.values():
        history.current()  # refuses a decision about an unknown box
    return histories


def decisions_by_record(decisions: Sequence[Decision]) -> Mapping[str, list[Decision]]:
    """Decisions grouped by their pair."""
    grouped: dict[str, list[Decision]] = {}
    for decision in decisions:
        grouped.setdefault(decision.record_id, []).append(decision)
    return grouped
