"""What a sample says that the run does not know yet: decisions to be, conflicts. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bson import ObjectId

from pipeline.curation.box_state import BoxHistory, PairHistory, PairReview
from pipeline.review.sync.label.app_label import Conflict, ConflictKind, as_float32
from pipeline.review.sync.label.stamp import PAIR_REASON, PAIR_REVIEW, Stamp
from schemas.records import Decision, Verdict, Xyxy

Desired = tuple[Verdict, Xyxy | None, int | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A decision that the App holds and the run does not."""

    box_id: str
    """Empty for a verdict about the whole pair."""
    verdict: Verdict
    xyxy: Xyxy | None = None
    phrase_index: int | None = None
    reason: str = ""
    span: tuple[int, int] | None = None
    """Of a phrase that a person marked."""
    stamp: Stamp | None = None
    """Who said it and when; None where it was not written by a reviewer's own App."""
    after: str = field(default="", compare=False)
    """Time of the decision that the App showed then; this one is later, whatever the clocks say."""

    @property
    def content(self) -> Desired:
        """What the decision says."""
        return (self.verdict, self.xyxy, self.phrase_index)


@dataclass(slots=True)
class Reading:
    """What one sample says."""

    record_id: str
    changes: list[Change] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    settled: dict[ObjectId, str] = field(default_factory=dict)
    """Labels that people changed and that are understood, with their box ids."""
    settled_as: dict[ObjectId, Mapping[str, Any]] = field(default_factory=dict)
    """The same labels as they were read."""
    pair_settled: bool = False
    """The sample's own verdict was changed and is understood."""
    deleted: list[str] = field(default_factory=list)
    """Boxes that people removed from the sample."""
    undecided: int = 0
    """Boxes on which nobody has said a word."""
    entries: list[ObjectId] = field(default_factory=list)
    """Entries of the journal that are dealt with."""

    def conflict(self, kind: ConflictKind, box_id: str, detail: str) -> None:
        """Note something that needs another look."""
        self.conflicts.append(
            Conflict(record_id=self.record_id, box_id=box_id, kind=kind, detail=detail)
        )

    def latest(self, box_id: str, history: BoxHistory | PairHistory | None) -> _Latest | None:
        """The last word on a box, changes of this reading included."""
        for change in reversed(self.changes):
            if change.box_id == box_id and change.verdict != Verdict.PHRASE:
                who = "" if change.stamp is None else change.stamp.reviewer
                return _Latest(change.content, change.reason, who)
        decision = None if history is None else history.latest
        if decision is None:
            return None
        return _Latest(content_of(decision), decision.reason, decision.reviewer)


@dataclass(frozen=True, slots=True)
class _Latest:
    content: Desired
    reason: str
    reviewer: str


def decide(
    reading: Reading,
    box_id: str,
    history: BoxHistory | None,
    desired: Desired,
    stamp: Stamp | None,
    after: str = "",
) -> None:
    """Add a decision about a box, unless it says nothing new."""
    latest = reading.latest(box_id, history)
    if latest is None and desired[0] == Verdict.OPEN:
        return
    if latest is not None and latest.content == desired:
        # The same word of another person is a second opinion; of nobody's, it says nothing new.
        another = stamp is not None and stamp.reviewer != latest.reviewer
        if not another or (desired[0] == Verdict.OPEN and not _holds_word(stamp, history)):
            return
    verdict, xyxy, phrase_index = desired
    reading.changes.append(
        Change(
            box_id=box_id,
            verdict=verdict,
            xyxy=xyxy,
            phrase_index=phrase_index,
            stamp=stamp,
            after=after,
        )
    )


def _holds_word(stamp: Stamp | None, history: BoxHistory | None) -> bool:
    """True where the last decision of a reviewer on a box is a word, which they can take back."""
    if stamp is None or history is None:
        return False
    own = [d for d in history.decisions if d.reviewer == stamp.reviewer]
    return bool(own) and own[-1].verdict != Verdict.OPEN


def decide_pair(
    reading: Reading,
    fields: Mapping[str, Any],
    pair: PairHistory,
    stamp: Stamp | None,
    after: str = "",
) -> bool:
    """Add the verdict about a whole pair; False where it is not understood."""
    shown = str(fields.get(PAIR_REVIEW) or PairReview.OPEN)
    reason = str(fields.get(PAIR_REASON) or "").strip()
    try:
        verdict = Verdict(str(PairReview(shown)))
    except ValueError:
        allowed = ", ".join(PairReview)
        detail = f"{PAIR_REVIEW} must be one of {allowed}, got {shown!r}"
        reading.conflict(ConflictKind.BAD_REVIEW, "", detail)
        return False
    if verdict == Verdict.BAD and not reason:
        detail = f"{PAIR_REVIEW} bad needs a reason: write one into {PAIR_REASON}"
        reading.conflict(ConflictKind.NEEDS_REASON, "", detail)
        return False
    latest = reading.latest("", pair)
    if latest is None and verdict == Verdict.OPEN:
        return True
    same = latest is not None and (latest.content[0], latest.reason) == (verdict, reason)
    if same and latest is not None and (stamp is None or stamp.reviewer == latest.reviewer):
        return True
    reading.changes.append(
        Change(box_id="", verdict=verdict, reason=reason, stamp=stamp, after=after)
    )
    return True


def content_of(decision: Decision) -> Desired:
    """What a decision says of its box."""
    xyxy = None if decision.xyxy is None else as_float32(decision.xyxy)
    if decision.verdict in (Verdict.EDIT, Verdict.ADD):
        return (decision.verdict, xyxy, decision.phrase_index)
    return (decision.verdict, None, None)
