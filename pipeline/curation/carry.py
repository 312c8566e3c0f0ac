"""Decisions of an older run over the same corpus, given to a new run's boxes. Pure.

A decision is about a box and a phrase. Its pair is found by record id, its phrase by the words (the
span too where the caption is the same), its box by IoU: each new box takes one decision at most,
the best overlaps first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pipeline.curation.box_state import (
    BoxHistory,
    PairReview,
    Review,
    box_histories,
    pair_history,
)
from pipeline.curation.own_phrases import with_phrases
from schemas.boxes import pairwise_iou
from schemas.errors import ConfigError
from schemas.fingerprint import fingerprint
from schemas.records import Annotation, Decision, GroundedBox, Phrase, Verdict

CARRIED_MARK = "#carried-"
SAME_IOU = 0.7
"""From here on two boxes are the same one: a box that was rejected as loose must not take its
tight successor with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotCarried:
    """A decision that has no place in the new run."""

    record_id: str
    box_id: str
    verdict: Verdict
    reason: str


@dataclass(slots=True)
class CarryReport:
    """What was carried over, and what not."""

    decisions: list[Decision] = field(default_factory=list)
    left: list[NotCarried] = field(default_factory=list)

    def reasons(self) -> Counter[str]:
        """Why decisions were left behind."""
        return Counter(one.reason for one in self.left)


def carry(
    old_rows: Iterable[Annotation],
    new_rows: Iterable[Annotation],
    old_decisions: Mapping[str, Sequence[Decision]],
    new_decisions: Mapping[str, Sequence[Decision]],
    *,
    min_iou: float = SAME_IOU,
) -> CarryReport:
    """The decisions that the new run should have.

    Args:
        old_rows: rows of the old run.
        new_rows: rows of the new run.
        old_decisions: record id -> decisions of the old run.
        new_decisions: record id -> decisions of the new run: what was carried before, or was
            judged there, is not touched.
        min_iou: from which overlap on two boxes are the same one.

    Raises:
        ConfigError: `min_iou` is not in (0, 1].
        DataError: a decision is about a box that its pair does not have.
    """
    if not 0.0 < min_iou <= 1.0:
        raise ConfigError(f"carry-min-iou must be in (0, 1], got {min_iou}")
    report = CarryReport()
    waiting = {row.record_id: row for row in old_rows if old_decisions.get(row.record_id)}
    for new in new_rows:
        old = waiting.pop(new.record_id, None)
        if old is not None:
            past = new_decisions.get(new.record_id, ())
            _carry_pair(report, old, new, old_decisions[new.record_id], past, min_iou)
    for record_id in waiting:
        for history in box_histories(waiting[record_id], old_decisions[record_id]).values():
            _leave(report, record_id, history, "the new run does not have this pair")
    return report


def _carry_pair(
    report: CarryReport,
    old: Annotation,
    new: Annotation,
    decisions: Sequence[Decision],
    past: Sequence[Decision],
    min_iou: float,
) -> None:
    told = {decision.carried_from for decision in past}
    judged = {decision.box_id for decision in past}
    own = with_phrases(old, decisions).phrases
    phrases = [_same_phrase(phrase, old, new) for phrase in own]
    histories = [h for h in box_histories(old, decisions).values() if _stands(h, told)]
    matched = _match(histories, new, phrases, min_iou)
    for history in histories:
        box = matched.get(history.box_id)
        if box is not None and box.box_id in judged:
            _leave(report, old.record_id, history, "the box was judged in the new run already")
            continue
        reason = _carried(report, history, new, phrases, box)
        if reason:
            _leave(report, old.record_id, history, reason)
    _carry_word(report, old, decisions, past, told)


def _stands(history: BoxHistory, told: set[str]) -> bool:
    """True for a box with a word to carry: a drawn one that was rejected again has none."""
    latest = history.latest
    if latest is None or latest.decision_id in told or latest.verdict == Verdict.OPEN:
        return False
    return history.candidate is not None or latest.verdict != Verdict.DROP


def _same_phrase(phrase: Phrase, old: Annotation, new: Annotation) -> int | None:
    """The phrase of the new row with these words; at the same place where the captions agree."""
    if old.caption == new.caption:
        spans = {(p.start, p.end): index for index, p in enumerate(new.phrases)}
        if (phrase.start, phrase.end) in spans:
            return spans[phrase.start, phrase.end]
    words = phrase.text.casefold()
    fits = [index for index, p in enumerate(new.phrases) if p.text.casefold() == words]
    return fits[0] if len(fits) == 1 else None


def _match(
    histories: Sequence[BoxHistory],
    new: Annotation,
    phrases: Sequence[int | None],
    min_iou: float,
) -> dict[str, GroundedBox]:
    """Old box id -> the new run's box of the same phrase, each used once, best overlaps first."""
    found: list[tuple[float, str, str]] = []
    boxes = {box.box_id: box for box in new.boxes}
    for history in histories:
        standing = history.current()
        start = standing if history.candidate is None else history.candidate
        index = phrases[start.phrase_index]
        same = [box for box in new.boxes if box.phrase_index == index]
        if index is None or not same:
            continue
        overlaps = pairwise_iou([start.xyxy], [box.xyxy for box in same])[0]
        for box, overlap in zip(same, overlaps.tolist(), strict=True):
            if overlap >= min_iou:
                found.append((-overlap, history.box_id, box.box_id))
    matched: dict[str, GroundedBox] = {}
    used: set[str] = set()
    for _, old_id, new_id in sorted(found):
        if old_id not in matched and new_id not in used:
            matched[old_id] = boxes[new_id]
            used.add(new_id)
    return matched


def _carried(
    report: CarryReport,
    history: BoxHistory,
    new: Annotation,
    phrases: Sequence[int | None],
    box: GroundedBox | None,
) -> str:
    """Add the new run's decision; or say why there is none."""
    latest, standing = history.latest, history.current()
    if latest is None:
        return ""
    index = phrases[standing.phrase_index]
    if index is None:
        return "the new run does not have the phrase"
    if standing.xyxy[2] > new.width or standing.xyxy[3] > new.height:
        return "the image has another size in the new run"
    by_person = history.candidate is None or latest.verdict == Verdict.EDIT
    if box is None and not by_person:
        return "the new run does not have such a box"
    place = standing.xyxy if by_person else None
    if box is not None:
        verdict = Verdict.EDIT if by_person else latest.verdict
        box_id = box.box_id
    else:
        verdict = Verdict.ADD
        box_id = f"{new.record_id}{CARRIED_MARK}{fingerprint(latest.decision_id)}"
    report.decisions.append(
        replace(
            latest,
            decision_id=fingerprint([latest.decision_id, box_id]),
            box_id=box_id,
            verdict=verdict,
            xyxy=place,
            phrase_index=index if by_person else None,
            before_review=str(Review.PENDING),
            before_xyxy=None if box is None else box.xyxy,
            before_phrase_index=None if box is None else box.phrase_index,
            carried_from=latest.decision_id,
        )
    )
    return ""


def _carry_word(
    report: CarryReport,
    old: Annotation,
    decisions: Sequence[Decision],
    past: Sequence[Decision],
    told: set[str],
) -> None:
    """Carry the word about the whole pair; DONE is about boxes that nobody has seen yet."""
    latest = pair_history(decisions).latest
    if latest is None or latest.decision_id in told or latest.verdict == Verdict.OPEN:
        return
    reason = ""
    if pair_history(past).current().review != PairReview.OPEN:
        reason = "the pair was judged in the new run already"
    elif latest.verdict == Verdict.DONE:
        reason = "the boxes of the new run were not looked at yet"
    if reason:
        left = NotCarried(record_id=old.record_id, box_id="", verdict=latest.verdict, reason=reason)
        report.left.append(left)
        return
    report.decisions.append(
        replace(
            latest,
            decision_id=fingerprint([latest.decision_id, "pair"]),
            before_review=str(PairReview.OPEN),
            carried_from=latest.decision_id,
        )
    )


def _leave(report: CarryReport, record_id: str, history: BoxHistory, reason: str) -> None:
    latest = history.latest
    if latest is not None:
        report.left.append(
            NotCarried(
                record_id=record_id,
                box_id=history.box_id,
                verdict=latest.verdict,
                reason=reason,
            )
        )
