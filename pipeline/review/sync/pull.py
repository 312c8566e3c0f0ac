"""From the App back to the run: what people did since the last push or pull, as decisions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from pymongo import UpdateOne

from pipeline.review.sync.app_label import Conflict, ConflictKind
from pipeline.review.sync.box_state import box_histories, decisions_by_record
from pipeline.review.sync.changes import Reading, read_sample
from pipeline.review.sync.documents import (
    DETECTIONS,
    detection_document,
    sample_object_id,
)
from pipeline.review.sync.mongo_store import StoredDataset
from schemas.fingerprint import fingerprint
from schemas.records import Annotation, Decision

BATCH = 1000
_HEAD_KEYS = ("_id", "last_modified_at", "conflicts", "pushed_box_ids")
_SETTLED_KEYS = ("label", "phrase_index", "review", "origin", "box_id", "decision_id")


@dataclass(slots=True)
class PullReport:
    """What a pull found."""

    samples: int = 0
    changed_samples: int = 0
    undecided: int = 0
    """Boxes still pending."""
    decisions: list[Decision] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)

    def verdicts(self) -> Counter[str]:
        """New decisions by verdict."""
        return Counter(str(decision.verdict) for decision in self.decisions)


def pull(
    dataset: StoredDataset,
    annotations: Iterable[Annotation],
    decisions: Sequence[Decision],
    *,
    append: Callable[[Sequence[Decision]], object],
    reviewer: str,
    now: datetime | None = None,
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
        reviewer: who is named in the decisions.
        now: time of the decisions; the clock if None.
    """
    by_record = decisions_by_record(decisions)
    report, read = _read(dataset, annotations, by_record)
    moment = now or datetime.now(UTC)
    for row, _, reading in read:
        past = by_record.get(row.record_id, ())
        report.decisions += _decisions(reading, past, reviewer=reviewer, moment=moment)
    if report.decisions:
        append(report.decisions)
    _mark(dataset, read, decisions_by_record([*decisions, *report.decisions]))
    return report


def unpulled(
    dataset: StoredDataset, annotations: Iterable[Annotation], decisions: Sequence[Decision]
) -> int:
    """How many changes and conflicts a pull would find now. Reads only."""
    report, read = _read(dataset, annotations, decisions_by_record(decisions))
    return len(report.conflicts) + sum(len(reading.changes) for _, _, reading in read)


def _read(
    dataset: StoredDataset,
    annotations: Iterable[Annotation],
    by_record: Mapping[str, Sequence[Decision]],
) -> tuple[PullReport, list[tuple[Annotation, Mapping[str, Any], Reading]]]:
    """Read every sample; returns those with news."""
    report = PullReport()
    waiting = dataset.sample_ids()
    read: list[tuple[Annotation, Mapping[str, Any], Reading]] = []
    for rows in _batches(row for row in annotations if sample_object_id(row.record_id) in waiting):
        documents = dataset.documents(sample_object_id(row.record_id) for row in rows)
        for row in rows:
            document = documents.get(sample_object_id(row.record_id))
            if document is None:
                continue  # removed in the App between two queries
            waiting.discard(document["_id"])
            histories = box_histories(row, by_record.get(row.record_id, ()))
            reading = read_sample(document, row, histories)
            report.samples += 1
            report.undecided += reading.undecided
            report.conflicts += reading.conflicts
            if _has_news(reading, document):
                read.append((row, _head(document), reading))
    for stranger in dataset.documents(waiting).values():
        report.conflicts.append(
            Conflict(
                record_id=str(stranger.get("record_id") or stranger["_id"]),
                box_id="",
                kind=ConflictKind.UNKNOWN_SAMPLE,
                detail=f"the sample {stranger.get('filepath')!r} is not of this run; left alone",
            )
        )
    report.changed_samples = sum(1 for _, _, reading in read if reading.changes)
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
        or _conflict_lines(reading) != list(document.get("conflicts") or ())
    )


def _conflict_lines(reading: Reading) -> list[str]:
    return [f"{c.kind}: {c.detail}" for c in reading.conflicts]


def timestamp(moment: datetime) -> str:
    """UTC, ISO 8601 with microseconds: as text, later is greater."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _decisions(
    reading: Reading, past: Sequence[Decision], *, reviewer: str, moment: datetime
) -> Iterator[Decision]:
    latest: dict[str, str] = {}
    for decision in past:
        latest[decision.box_id] = max(latest.get(decision.box_id, ""), decision.decided_at)
    for change in reading.changes:
        decided_at = timestamp(moment)
        before = latest.get(change.box_id, "")
        if before >= decided_at:
            # Another machine's clock runs ahead: the later word must still win.
            decided_at = timestamp(datetime.fromisoformat(before) + timedelta(microseconds=1))
        content = {
            "record_id": reading.record_id,
            "box_id": change.box_id,
            "verdict": str(change.verdict),
            "xyxy": change.xyxy,
            "phrase_index": change.phrase_index,
            "reviewer": reviewer,
            "decided_at": decided_at,
        }
        yield Decision(
            decision_id=fingerprint(content),
            record_id=reading.record_id,
            box_id=change.box_id,
            verdict=change.verdict,
            xyxy=change.xyxy,
            phrase_index=change.phrase_index,
            reviewer=reviewer,
            decided_at=decided_at,
        )


def _mark(
    dataset: StoredDataset,
    read: Sequence[tuple[Annotation, Mapping[str, Any], Reading]],
    by_record: Mapping[str, Sequence[Decision]],
) -> None:
    """Write the taken state into the labels, by label id, where nobody edited meanwhile.

    `last_modified_at` stays: a reviewer who has the sample open could otherwise not save.
    """
    updates: list[UpdateOne] = []
    for row, head, reading in read:
        histories = box_histories(row, by_record.get(row.record_id, ()))
        values: dict[str, Any] = {
            "conflicts": _conflict_lines(reading),
            "pushed_box_ids": _known_boxes(head, reading),
        }
        filters: list[Mapping[str, Any]] = []
        for number, (label_id, box_id) in enumerate(reading.settled.items()):
            label = detection_document(row, histories[box_id].current())
            filters.append({f"l{number}._id": label_id})
            for key in _SETTLED_KEYS:
                values[f"{DETECTIONS}.$[l{number}].{key}"] = label[key]
        match = {"_id": head["_id"], "last_modified_at": head["last_modified_at"]}
        updates.append(UpdateOne(match, {"$set": values}, array_filters=filters or None))
    for start in range(0, len(updates), BATCH):
        dataset.samples.bulk_write(updates[start : start + BATCH], ordered=False)
