"""A sample as people left it, read against what stands. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bson import ObjectId

from pipeline.curation.box_state import BoxHistory, PairHistory, PairReview, Review, Standing
from pipeline.review.sync.label.app_label import ConflictKind, Observed, as_float32
from pipeline.review.sync.label.documents import drawn_box_id, label_object_id
from pipeline.review.sync.label.seen import Seen, histories_by_label, labels_of, see_label
from pipeline.review.sync.label.stamp import (
    PAIR_DECISION_ID,
    PAIR_REASON,
    PAIR_REVIEW,
    PAIR_REVIEWER,
    REVIEWER,
    Stamp,
    label_stamp,
    pair_stamp,
)
from pipeline.review.sync.pull.changes import (
    Change,
    Desired,
    Reading,
    content_of,
    decide,
    decide_pair,
)
from pipeline.review.sync.pull.own_phrases import read_phrases
from pipeline.review.sync.store.journal import Entry, reached, without_undone
from schemas.records import Annotation, Decision, GroundedBox, Verdict

DELETED_REASON = "the sample was deleted in the app"
NO_DECISIONS = PairHistory()


def read_sample(
    document: Mapping[str, Any] | None,
    row: Annotation,
    histories: Mapping[str, BoxHistory],
    *,
    pair: PairHistory = NO_DECISIONS,
    entries: Sequence[Entry] = (),
) -> Reading:
    """Compare a sample with what stands.

    Args:
        document: the sample as FiftyOne holds it; None where it was deleted there.
        row: its pair.
        histories: every box of the pair with its decisions (`box_histories`).
        pair: the decisions about the whole pair.
        entries: what the journal has on this sample and no pull has taken, oldest first.
    """
    reading = Reading(row.record_id)
    by_label = histories_by_label(histories)
    reading.entries = [entry.entry_id for entry in entries]
    if document is not None:
        row = read_phrases(reading, document, row)
    _read_journal(reading, row, by_label, pair, reached(entries, document))
    if document is None:
        latest = reading.latest("", pair)
        if latest is None or latest.content[0] != Verdict.BAD:
            reading.changes.append(Change(box_id="", verdict=Verdict.BAD, reason=DELETED_REASON))
        return reading
    _read_labels(reading, document, row, by_label, histories)
    _read_pair(reading, document, pair)
    return reading


def _read_labels(
    reading: Reading,
    document: Mapping[str, Any],
    row: Annotation,
    by_label: Mapping[ObjectId, BoxHistory],
    histories: Mapping[str, BoxHistory],
) -> None:
    present: set[ObjectId] = set()
    for position, label in enumerate(labels_of(document)):
        label_id = label.get("_id") if isinstance(label, Mapping) else None
        if not isinstance(label_id, ObjectId):
            detail = f"label {position} has no _id: {label!r}"
            reading.conflict(ConflictKind.BAD_LABEL, "", detail)
            continue
        if label_id in present:
            reading.conflict(ConflictKind.BAD_LABEL, "", f"two labels have the _id {label_id}")
            continue
        present.add(label_id)
        seen = see_label(label, row, by_label)
        if seen.problem is not None:
            reading.conflict(seen.problem.kind, seen.box_id, seen.problem.detail)
        elif seen.observed is not None and _judge(reading, seen, seen.observed):
            reading.settled[label_id] = seen.box_id
            reading.settled_as[label_id] = label

    for box_id in document.get("pushed_box_ids") or ():
        history = histories.get(box_id)
        if history is not None and label_object_id(box_id) not in present:
            reading.deleted.append(box_id)
            decide(reading, box_id, history, (Verdict.DROP, None, None), None)


def _judge(reading: Reading, seen: Seen, observed: Observed) -> bool:
    """Add the decision that a label holds; True where it is to be marked as taken."""
    told = any(change.box_id == seen.box_id for change in reading.changes)
    if seen.untouched and not told:
        reading.undecided += observed.review == Review.PENDING
        return False
    desired = _desired(seen, observed, known=seen.history is not None or told)
    if desired is None or desired[0] == Verdict.OPEN:
        reading.undecided += observed.review == Review.PENDING
    if desired is None:
        return False
    if observed.doubt:
        reading.conflict(ConflictKind.AMBIGUOUS_PHRASE, seen.box_id, observed.doubt)
    after = "" if seen.base is None else seen.base.reviewed_at
    decide(reading, seen.box_id, seen.history, desired, seen.stamp, after)
    return not observed.doubt  # a doubt stays visible until somebody sets phrase_index


def _desired(seen: Seen, observed: Observed, *, known: bool) -> Desired | None:
    """The decision that says what the label says.

    None where it says nothing: a drawn box that is rejected or pending, and that no decision knows.
    """
    if observed.review == Review.REJECTED:
        return (Verdict.DROP, None, None) if known else None
    base = seen.base
    candidate = None if seen.history is None else seen.history.candidate
    if observed.review == Review.PENDING and (
        base is None or not _moved(observed, base) or _is_at(observed, candidate)
    ):
        return (Verdict.OPEN, None, None) if known else None
    if candidate is None:
        return (Verdict.ADD, observed.xyxy, observed.phrase_index)
    xyxy = None if observed.xyxy == as_float32(candidate.xyxy) else observed.xyxy
    phrase_index = (
        None if observed.phrase_index == candidate.phrase_index else observed.phrase_index
    )
    if xyxy is None and phrase_index is None:
        return (Verdict.KEEP, None, None)
    return (Verdict.EDIT, xyxy, phrase_index)


def _is_at(observed: Observed, candidate: GroundedBox | None) -> bool:
    """True where the box is as the teacher has it: an edit that was taken back."""
    return (
        candidate is not None
        and observed.phrase_index == candidate.phrase_index
        and observed.xyxy == as_float32(candidate.xyxy)
    )


def _moved(observed: Observed, base: Standing) -> bool:
    return observed.phrase_index != base.phrase_index or observed.xyxy != as_float32(base.xyxy)


def _read_journal(
    reading: Reading,
    row: Annotation,
    by_label: Mapping[ObjectId, BoxHistory],
    pair: PairHistory,
    entries: Sequence[Entry],
) -> None:
    """The last word of each reviewer on each box, in the order of time."""

    def past(entry: Entry) -> tuple[Decision, ...]:
        if entry.label_id is None:
            return pair.decisions
        history = by_label.get(entry.label_id)
        return () if history is None else history.decisions

    def is_taken(entry: Entry) -> bool:
        return any(d.reviewer == entry.reviewer and d.decided_at >= entry.at for d in past(entry))

    for entry in _last_words(without_undone(entries, is_taken)):
        stamp = label_stamp({"reviewer": entry.reviewer, "reviewed_at": entry.at})
        given, after = _giver(entry, stamp), ""
        if given is not None:
            # Their word stands again, after the one that was taken back.
            _withdraw(reading, row, entry, by_label, pair, stamp)
            stamp, after = given, given.at
        if entry.label_id is None:
            if entry.after is not None:
                decide_pair(reading, entry.after, pair, stamp, after)
            continue
        if entry.after is None:
            history = by_label.get(entry.label_id)
            box_id = (
                drawn_box_id(row.record_id, entry.label_id) if history is None else history.box_id
            )
            if history is not None or reading.latest(box_id, None) is not None:
                decide(reading, box_id, history, (Verdict.DROP, None, None), stamp)
            continue
        seen = see_label({**entry.after, "_id": entry.label_id}, row, by_label)
        if seen.observed is None or seen.observed.doubt:
            continue  # the label itself is a conflict as long as it stays so
        told = reading.latest(seen.box_id, seen.history) is not None
        desired = _desired(seen, seen.observed, known=seen.history is not None or told)
        if desired is not None:
            decide(reading, seen.box_id, seen.history, desired, stamp, after)


def _giver(entry: Entry, stamp: Stamp | None) -> Stamp | None:
    """Who gave the word that stands again after a click was taken back, where that is another."""
    if entry.undoes is None or stamp is None or entry.after is None:
        return None
    name = PAIR_REVIEWER if entry.label_id is None else REVIEWER
    reviewer = str(entry.after.get(name) or "")
    return None if reviewer in ("", stamp.reviewer) else Stamp(reviewer, stamp.at)


def _withdraw(
    reading: Reading,
    row: Annotation,
    entry: Entry,
    by_label: Mapping[ObjectId, BoxHistory],
    pair: PairHistory,
    stamp: Stamp | None,
) -> None:
    """Take back the word of a reviewer that is a decision already: the one before it, or none."""
    if entry.label_id is None:
        decide_pair(reading, {PAIR_REVIEW: str(PairReview.OPEN)}, pair, stamp)
        return
    history = by_label.get(entry.label_id)
    if history is None:
        return
    if entry.earlier is not None:
        seen = see_label({**entry.earlier, "_id": entry.label_id}, row, by_label)
        if seen.observed is not None:
            before = _desired(seen, seen.observed, known=True) or (Verdict.OPEN, None, None)
            decide(reading, history.box_id, history, before, stamp)
            return
    since = entry.undone_at or entry.at
    own = [d for d in history.decisions if d.reviewer == entry.reviewer and d.decided_at < since]
    earlier = content_of(own[-1]) if own else (Verdict.OPEN, None, None)
    decide(reading, history.box_id, history, earlier, stamp)


def _last_words(entries: Iterable[Entry]) -> list[Entry]:
    last: dict[tuple[ObjectId | None, str], Entry] = {}
    for entry in entries:
        key = (entry.label_id, entry.reviewer)
        last.pop(key, None)
        last[key] = entry
    return list(last.values())


def _read_pair(reading: Reading, document: Mapping[str, Any], pair: PairHistory) -> None:
    base = pair.as_of(str(document.get(PAIR_DECISION_ID) or ""))
    shown = str(document.get(PAIR_REVIEW) or PairReview.OPEN)
    reason = str(document.get(PAIR_REASON) or "")
    words = (change for change in reading.changes if change.verdict != Verdict.PHRASE)
    told = any(not change.box_id for change in words)
    if (shown, reason) == (str(base.review), base.reason) and not told:
        return
    stamp = pair_stamp(document)
    if stamp == Stamp(base.reviewer, base.reviewed_at):
        stamp = None
    if decide_pair(reading, document, pair, stamp, base.reviewed_at):
        reading.pair_settled = True
