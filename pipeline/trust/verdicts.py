"""What the decisions of people say about drawn labels: right, wrong, or not said.

keep: right. edit: right where the phrase stays and the box moved little. drop, another phrase, or a
pair that is called bad: wrong. Where two reviewers disagree nothing is promised until they agree.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pipeline.curation.standing_words import is_unsure, standing_words
from pipeline.trust.audit_sample import DrawnLabel
from schemas.boxes import pairwise_iou
from schemas.records import Decision, Verdict

SAME_PLACE_IOU = 0.5
"""An edit that keeps so much of the box corrects its edge, not its meaning."""


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
    words = standing_words([(one.record_id, one.box_id) for one in drawn], decisions)
    truths, disputed, twice = [], [], 0
    for label in drawn:
        given = [
            _truth(label, word) for word in words.get((label.record_id, label.box_id), {}).values()
        ]
        twice += len(given) > 1
        if len(set(given)) > 1:
            disputed.append(label)
            truths.append(Truth.UNSURE)
        else:
            truths.append(given[0] if given else Truth.MISSING)
    return Judged(
        truths=tuple(truths),
        twice=twice,
        agreed=twice - len(disputed),
        disputed=tuple(disputed),
    )


def _truth(label: DrawnLabel, word: Decision) -> Truth:
    if is_unsure(word):
        return Truth.UNSURE
    if word.verdict == Verdict.KEEP:
        return Truth.RIGHT
    if word.verdict != Verdict.EDIT:
        return Truth.WRONG
    if word.phrase_index is not None and word.phrase_index != label.phrase_index:
        return Truth.WRONG
    if word.xyxy is None:
        return Truth.RIGHT
    near = pairwise_iou([label.xyxy], [word.xyxy])[0, 0] >= SAME_PLACE_IOU
    return Truth.RIGHT if near else Truth.WRONG
