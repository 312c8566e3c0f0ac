"""From the App back to the run: what people did since the last push or pull, as decisions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

from bson import ObjectId
from pymongo import UpdateOne

from pipeline.curation.box_state import BoxHistory, PairHistory, box_histories, pair_history
from pipeline.curation.decisions import decisions_by_record
from pipeline.curation.own_phrases import with_phrases
from pipeline.review.sync.label import stamp
from pipeline.review.sync.label.app_label import Conflict, ConflictKind
from pipeline.review.sync.label.documents import (
    DETECTIONS,
    detection_document,
    pair_fields,
    sample_object_id,
)
from pipeline.review.sync.pull.changes import Reading
from pipeline.review.sync.pull.new_decisions import new_decisions
from pipeline.review.sync.pull.reading import read_sample
from pipeline.review.sync.store.journal import Journal
from pipeline.review.sync.store.ledger import Ledger
from pipeline.review.sync.store.mongo_store import StoredDataset
from schemas.records import Annotation, Decision

BATCH = 1000
_HEAD_KEYS = ("_id", "last_modified_at", "conflicts", "pushed_box_ids")
_SETTLED_KEYS = (
    *("label", "phrase_index", "review", "origin", "box_id", "decision_id"),
    *(stamp.REVIEWER, stamp.REVIEWED_AT),
)
_READ_KEYS = ("label", "phrase_index", "review", "bounding_box", stamp.REVIEWED_AT)
"""A label is marked only while these are as they were read."""
MANY_DELETED, MANY_SHARE = 20, 0.5
"""So many deleted samples, and this share of all, look like an accident."""


@dataclass(slots=True)
class PullReport:
    """What a pull found."""

    samples: int = 0
    changed_samples: int = 0
    undecided: int = 0
    """Boxes still pending."""
    deleted: int = 0
    """Samples that were deleted in the App since the last pull."""
    deletions_refused: bool = False
    """They are so many that they were not taken as verdicts."""
    decisions: list[Decision] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)

    def verdicts(self) -> Counter[str]:
        """New decisions by verdict."""
        return Counter(str(decision.verdict) for decision in self.decisions)

    def reviewers(self) -> Counter[str]:
        """New decisions by reviewer."""
        return Counter(decision.reviewer for decision in self.decisions)


@dataclass(frozen=True, slots=True)
class _Read:
    """A sample with news."""

    row: Annotation
    head: Mapping[str, Any] | None
    """What marking needs of it; None where it was deleted."""
    reading: Reading


def pull(
    dataset: StoredDataset,
    annotations: Iterable[Annotation],
    decisions: Sequence[Decision],
    *,
    append: Callable[[Sequence[Decision]], object],
    reviewer: str,
    now: datetime | None = None,
    accept_deletions: bool = False,
) -> PullReport:
    """Read the App's samples, append what is new as decisions, and mark it as taken.

    Pulling twice gives no new decisions. Samples are read first, decisions are appended, and only
    then the samples are marked; where that is interrupted, the next pull finds the decisions there
    and only marks.

    Args:
        dataset: the samples.
        annotations: every committed row of the run.
        decisions: every decision of the run so far.
        append: writes new decisions to the run; called once, and only if there are some.
        reviewer: who is named where the App did not write who gave a verdict.
        now: time of those decisions; the clock if None.
        accept_deletions: take deleted samples as verdicts, however many they are.
    """
    by_record = decisions_by_record(decisions)
    report, read = _read(dataset, annotations, by_record, accept_deletions=accept_deletions)
    nobody = stamp.Stamp(reviewer, stamp.now() if now is None else stamp.timestamp(now))
    for item in read:
        past = by_record.get(item.row.record_id, ())
        report.decisions += new_decisions(item.row, item.reading.changes, past, nobody=nobody)
    if report.decisions:
        append(report.decisions)
    _mark(dataset, read, decisions_by_record([*decisions, *report.decisions]))
    return report


def unpulled(
    dataset: StoredDataset, annotations: Iterable[Annotation], decisions: Sequence[Decision]
) -> int:
    """How many changes and conflicts a pull would find now. Reads only."""
    by_record = decisions_by_record(decisions)
    report, read = _read(dataset, annotations, by_record, accept_deletions=True)
    return len(report.conflicts) + sum(len(item.reading.changes) for item in read)


def _read(
    dataset: StoredDataset,
    annotations: Iterable[Annotation],
    by_record: Mapping[str, Sequence[Decision]],
    *,
    accept_deletions: bool,
) -> tuple[PullReport, list[_Read]]:
    """Read every sample; returns those with news."""
    report = PullReport()
    # The ledger first: a sample that a push adds between the two queries is not a deletion.
    pushed = Ledger(dataset).known()
    waiting = dataset.sample_ids()
    gone = {i for i, taken in pushed.items() if not taken and i not in waiting}
    report.deleted = len(gone)
    many = len(gone) >= MANY_DELETED and len(gone) > MANY_SHARE * len(pushed)
    if many and not accept_deletions:
        report.deletions_refused = True
        gone = set()
    entries = Journal(dataset).waiting()
    read: list[_Read] = []
    wanted = waiting | gone
    for rows in _batches(row for row in annotations if sample_object_id(row.record_id) in wanted):
        documents = dataset.documents(sample_object_id(row.record_id) for row in rows)
        for row in rows:
            sample_id = sample_object_id(row.record_id)
            document = documents.get(sample_id)
            if document is None and sample_id not in gone:
                continue  # removed in the App between two queries
            waiting.discard(sample_id)
            past = by_record.get(row.record_id, ())
            reading = read_sample(
                document,
                with_phrases(row, past),
                box_histories(row, past),
                pair=pair_history(past),
                entries=entries.get(sample_id, ()),
            )
            report.samples += document is not None
            report.undecided += reading.undecided
            report.conflicts += reading.conflicts
            if document is None or _has_news(reading, document):
                read.append(_Read(row, None if document is None else _head(document), reading))
    for stranger in dataset.documents(waiting).values():
        report.conflicts.append(
            Conflict(
                record_id=str(stranger.get("record_id") or stranger["_id"]),
                box_id="",
                kind=ConflictKind.UNKNOWN_SAMPLE,
                detail=f"the sample {stranger.get('filepath')!r} is not of this run; left alone",
            )
        )
    report.changed_samples = sum(1 for item in read if item.reading.changes)
    return report, read


def _batches(rows: Iterable[Annotation]) -> Iterator[list[Annotation]]:
    stream = iter(rows)
    while batch := list(islice(stream, BATCH)):
        yield batch


def _head(document: Mapping[str, Any]) -> dict[str, Any]:
    """What marking needs of a sample: the labels are not kept in memory."""
    return {key: document.get(key) for key in _HEAD_KEYS}


def _known_boxes(head: Mapping[str, Any], reading: Reading) -> list[str]:
    """The boxes whose absence would be a deletion, after this pull."""
    before = [b for b in head.get("pushed_box_ids") or () if b not in reading.deleted]
    taken = [*reading.settled.values(), *(change.box_id for change in reading.changes)]
    return list(dict.fromkeys([*before, *(b for b in taken if b not in reading.deleted)]))


def _has_news(reading: Reading, document: Mapping[str, Any]) -> bool:
    return bool(
        reading.changes
        or reading.settled
        or reading.deleted
        or reading.pair_settled
        or reading.entries
        or _conflict_lines(reading) != list(document.get("conflicts") or ())
    )


def _conflict_lines(reading: Reading) -> list[str]:
    return [f"{c.kind}: {c.detail}" for c in reading.conflicts]


def _mark(
    dataset: StoredDataset, read: Sequence[_Read], by_record: Mapping[str, Sequence[Decision]]
) -> None:
    """Write the taken state into the labels, by label id, where nobody edited meanwhile.

    `last_modified_at` stays: a reviewer who has the sample open could otherwise not save.
    """
    updates: list[UpdateOne] = []
    gone: list[ObjectId] = []
    for item in read:
        past = by_record.get(item.row.record_id, ())
        if item.head is None:
            gone.append(sample_object_id(item.row.record_id))
            continue
        row = with_phrases(item.row, past)
        histories = box_histories(item.row, past)
        updates.append(_marking(item, row, item.head, histories, pair_history(past)))
    for start in range(0, len(updates), BATCH):
        dataset.samples.bulk_write(updates[start : start + BATCH], ordered=False)
    Ledger(dataset).take(gone)
    Journal(dataset).take(entry for item in read for entry in item.reading.entries)


def _marking(
    item: _Read,
    row: Annotation,
    head: Mapping[str, Any],
    histories: Mapping[str, BoxHistory],
    pair: PairHistory,
) -> UpdateOne:
    reading = item.reading
    values: dict[str, Any] = {
        "conflicts": _conflict_lines(reading),
        "pushed_box_ids": _known_boxes(head, reading),
    }
    if reading.pair_settled:
        values |= pair_fields(pair.current())
    filters: list[Mapping[str, Any]] = []
    for number, (label_id, box_id) in enumerate(reading.settled.items()):
        if box_id not in histories:
            continue
        label = detection_document(row, histories[box_id].current())
        as_read = reading.settled_as[label_id]
        same = {f"l{number}.{key}": as_read.get(key) for key in _READ_KEYS}
        filters.append({f"l{number}._id": label_id, **same})
        for key in _SETTLED_KEYS:
            values[f"{DETECTIONS}.$[l{number}].{key}"] = label[key]
    match = {"_id": head["_id"], "last_modified_at": head["last_modified_at"]}
    return UpdateOne(match, {"$set": values}, array_filters=filters or None)
