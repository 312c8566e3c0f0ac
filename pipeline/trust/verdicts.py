"""What the decisions of people say about drawn labels: right, wrong, or not said.

keep: right. edit: right where the phrase stays and the box moved little. drop, another phrase, or a
pair that is called bad: wrong. The last word of each reviewer counts; where two disagree nothing is
promised until they agree.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pipeline.curation.decisions import in_order
from pipeline.trust.audit_sample import DrawnLabel
from schemas.boxes import pairwise_iou
from schemas.records import Decision, Verdict

SAME_PLACE_IOU = 0.5
"""An edit that keeps so much of the box corrects its edge, not its meaning."""
UNSURE = "unsure"
"""How the reason of a decision begins when the reviewer could not tell."""


class Truth(StrEnum):
    """What people say about a label."""

    RIGHT = "right"
    WRONG = "wrong"
    UNSURE = "unsure"  # wrong for a promise, told beside it
    MISSING = "missing"  # nobody's word stands: likewise


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """The drawn labels with their truth, and how far two reviewers agree."""

    truths: tuple[Truth, ...]
    """In the order of the sample."""
    twice: int
    """Labels that more than one reviewer judged."""
    agreed: int
    disputed: tuple[DrawnLabel, ...]
    """Those on which they do not agree."""

    @property
    def agreement(self) -> float | None:
        """Share of labels judged twice on which reviewers agree."""
        return self.agreed / self.twice if self.twice else None


def judge(drawn: Sequence[DrawnLabel], decisions: Iterable[Decision]) -> Judged:
    """The truth of each drawn label; decisions about other boxes play no part."""
    by_box: dict[tuple[str, str], list[Decision]] = {}
    for decision in in_order(decisions):
        by_box.setdefault((decision.record_id, decision.box_id), []).append(decision)
    truths, disputed, twice = [], [], 0
    for label in drawn:
        # A word about the whole pair has no box.
        words = in_order(
            [
                *by_box.get((label.record_id, label.box_id), ()),
                *by_box.get((label.record_id, ""), ()),
            ]
        )
        found = _by_reviewer(label, words)
        said = set(found.values()) - {Truth.MISSING}
        given = [truth for truth in found.values() if truth is not Truth.MISSING]
        twice += len(given) > 1
        if len(said) > 1:
            disputed.append(label)
            truths.append(Truth.UNSURE)
        else:
            truths.append(next(iter(said), Truth.MISSING))
    return Judged(
        truths=tuple(truths),
        twice=twice,
        agreed=twice - len(disputed),
        disputed=tuple(disputed),
    )


def _by_reviewer(label: DrawnLabel, words: Iterable[Decision]) -> dict[str, Truth]:
    found: dict[str, Truth] = {}
    for word in words:
        truth = _truth(label, word)
        if truth is not None:
            found[word.reviewer] = truth
    return found


def _truth(label: DrawnLabel, word: Decision) -> Truth | None:
    """None for a word that says nothing about the label."""
    if word.carried_from:
        return None  # said about a box of another run
    if word.reason.strip().lower().startswith(UNSURE):
        return Truth.UNSURE
    if not word.box_id:
        return Truth.WRONG if word.verdict is Verdict.BAD else None
    if word.verdict == Verdict.KEEP:
        return Truth.RIGHT
    if word.verdict == Verdict.DROP:
        return Truth.WRONG
    if word.verdict == Verdict.EDIT:
        if word.phrase_index is not None and word.phrase_index != label.phrase_index:
            return Truth.WRONG
        if word.xyxy is None:
            return Truth.RIGHT
        near = pairwise_iou([label.xyxy], [word.xyxy])[0, 0] >= SAME_PLACE_IOU
        return Truth.RIGHT if near else Truth.WRONG
    return Truth.MISSING  # taken back
