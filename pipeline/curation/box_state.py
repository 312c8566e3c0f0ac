"""What stands for every box of a pair, and for the pair: the one place that resolves decisions.

A verdict is what a person did (`keep`); a review is what stands after it (`accepted`). The review
app shows reviews, decision files hold verdicts, curation asks what stands. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from pipeline.curation.decisions import in_order
from pipeline.curation.own_phrases import with_phrases
from schemas.errors import DataError
from schemas.records import Annotation, Decision, GroundedBox, Verdict, Xyxy


class Review(StrEnum):
    """The reviewer's word on a box, as the App shows it."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    FIXED = "fixed"  # accepted after a change


class PairReview(StrEnum):
    """The reviewer's word on a whole pair."""

    OPEN = "open"
    DONE = "done"
    BAD = "bad"
    MISSING = "missing"


class Origin(StrEnum):
    """Who made a box."""

    TEACHER = "teacher"
    HUMAN = "human"


REVIEW_OF = {
    Verdict.KEEP: Review.ACCEPTED,
    Verdict.DROP: Review.REJECTED,
    Verdict.EDIT: Review.FIXED,
    Verdict.ADD: Review.ACCEPTED,
    Verdict.OPEN: Review.PENDING,
}
"""What stands for a box after a verdict."""


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
    reviewer: str = ""
    """Who made that decision."""
    reviewed_at: str = ""
    """When: UTC, ISO 8601 with microseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairStanding:
    """What stands for a whole pair."""

    review: PairReview
    reason: str = ""
    decision_id: str = ""
    reviewer: str = ""
    reviewed_at: str = ""


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
            # A decision that is older than the drawing is of another clock: the box is known.
            drawn = next((d for d in reversed(past) if d.verdict == Verdict.ADD), None) or next(
                d for d in self.decisions if d.verdict == Verdict.ADD
            )
            if drawn.xyxy is None or drawn.phrase_index is None:
                raise DataError(f"decision {drawn.decision_id!r}: add needs xyxy and phrase_index")
            xyxy, phrase_index = drawn.xyxy, drawn.phrase_index
        if last is not None and last.verdict == Verdict.EDIT:
            xyxy = xyxy if last.xyxy is None else last.xyxy
            phrase_index = phrase_index if last.phrase_index is None else last.phrase_index
        return Standing(
            box_id=self.box_id,
            xyxy=xyxy,
            phrase_index=phrase_index,
            score=None if self.candidate is None else self.candidate.score,
            review=Review.PENDING if last is None else REVIEW_OF[last.verdict],
            origin=Origin.HUMAN if self.candidate is None else Origin.TEACHER,
            decision_id="" if last is None else last.decision_id,
            reviewer="" if last is None else last.reviewer,
            reviewed_at="" if last is None else last.decided_at,
        )


def box_histories(row: Annotation, decisions: Iterable[Decision]) -> dict[str, BoxHistory]:
    """Every box of a pair by its id: the teacher's in their order, then those people drew.

    Args:
        row: the annotation.
        decisions: all decisions about this pair, in any order; those about the whole pair are
            left to `pair_history`.

    Raises:
        DataError: naming the decision whose box or phrase the pair does not have.
    """
    decisions = list(decisions)
    whole = with_phrases(row, decisions)
    candidates = {box.box_id: box for box in row.boxes}
    by_box: dict[str, list[Decision]] = {box_id: [] for box_id in candidates}
    for decision in in_order(decisions):
        if decision.box_id:
            _check(whole, decision, candidates)
            by_box.setdefault(decision.box_id, []).append(decision)
    for box_id, of_box in by_box.items():
        if box_id not in candidates and all(d.verdict != Verdict.ADD for d in of_box):
            raise DataError(
                f"{_where(row, of_box[0])}: box_id {box_id!r} is neither a candidate of the "
                "teacher nor a box that a person added"
            )
    return {
        box_id: BoxHistory(box_id, candidates.get(box_id), tuple(of_box))
        for box_id, of_box in by_box.items()
    }


def _where(row: Annotation, decision: Decision) -> str:
    return f"decision {decision.decision_id!r} about {row.record_id!r}"


def _check(row: Annotation, decision: Decision, candidates: Mapping[str, GroundedBox]) -> None:
    if decision.box_id in candidates and decision.verdict == Verdict.ADD:
        raise DataError(f"{_where(row, decision)}: add needs a new box_id, got {decision.box_id!r}")
    index = decision.phrase_index
    if index is not None and index >= len(row.phrases):
        raise DataError(
            f"{_where(row, decision)}: phrase_index {index} is not one of the "
            f"{len(row.phrases)} phrases"
        )


OPEN_PAIR = PairStanding(review=PairReview.OPEN)


@dataclass(frozen=True, slots=True)
class PairHistory:
    """Everything that was decided about a whole pair, oldest first."""

    decisions: tuple[Decision, ...] = ()

    @property
    def latest(self) -> Decision | None:
        """The decision that wins."""
        return self.decisions[-1] if self.decisions else None

    def current(self) -> PairStanding:
        """What stands now."""
        return _pair_after(self.latest)

    def as_of(self, decision_id: str) -> PairStanding:
        """What stood right after one decision; before any where that one is not known here."""
        known = (d for d in self.decisions if d.decision_id == decision_id)
        return _pair_after(next(known, None))


def _pair_after(last: Decision | None) -> PairStanding:
    if last is None:
        return OPEN_PAIR
    return PairStanding(
        review=PairReview(str(last.verdict)),
        reason=last.reason,
        decision_id=last.decision_id,
        reviewer=last.reviewer,
        reviewed_at=last.decided_at,
    )


def pair_history(decisions: Iterable[Decision]) -> PairHistory:
    """The words on a whole pair; those about its boxes and phrases play no part."""
    own = (d for d in in_order(decisions) if not d.box_id and d.verdict != Verdict.PHRASE)
    return PairHistory(tuple(own))


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordDecisions:
    """What stands decided about one pair: by candidate, the boxes that people added, the pair."""

    by_box: Mapping[str, Decision]
    """box_id of a candidate -> KEEP, DROP or EDIT."""
    added: tuple[Decision, ...]
    """Every added box that stands, as an ADD at its latest place."""
    pair: PairStanding = OPEN_PAIR


def resolve_record(row: Annotation, decisions: Sequence[Decision]) -> RecordDecisions:
    """The decisions about one pair, checked against its annotation.

    Raises:
        DataError: naming the decision whose box or phrase the pair does not have.
    """
    if not decisions:
        return RecordDecisions(by_box={}, added=())
    by_box: dict[str, Decision] = {}
    added: list[Decision] = []
    for box_id, history in box_histories(row, decisions).items():
        latest = history.latest
        if latest is None or latest.verdict == Verdict.OPEN:
            continue
        if history.candidate is not None:
            by_box[box_id] = latest
        elif latest.verdict != Verdict.DROP:
            now = history.current()
            added.append(
                replace(latest, verdict=Verdict.ADD, xyxy=now.xyxy, phrase_index=now.phrase_index)
            )
    return RecordDecisions(
        by_box=by_box, added=tuple(added), pair=pair_history(decisions).current()
    )
