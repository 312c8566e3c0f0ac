"""From the run to the App: annotations and decisions as a dataset that people can review."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from bson import ObjectId
from pymongo import DeleteOne, InsertOne, ReplaceOne

from pipeline.review.sync.box_state import (
    BoxHistory,
    Standing,
    box_histories,
    decisions_by_record,
)
from pipeline.review.sync.documents import BOXES, sample_document, sample_object_id
from pipeline.review.sync.media import MediaStore
from pipeline.review.sync.merge import has_human_work, merge_boxes
from pipeline.review.sync.mongo_store import Document, StoredDataset
from pipeline.review.sync.selection import Selection
from schemas.errors import RecordError
from schemas.records import Annotation, Decision

BATCH = 1000
MEDIA_THREADS = 8
_RUN_KEYS = (
    *("filepath", "metadata", "record_id", "image_id", "source", "caption", "status"),
    *("teacher_id", "phrases"),
)


@dataclass(slots=True)
class PushReport:
    """What a push did."""

    added: int = 0
    refreshed: int = 0
    removed: int = 0
    """Samples that the selection leaves out now and that held no human work."""
    kept_labels: int = 0
    """Labels left as people made them."""
    edited_meanwhile: int = 0
    """Samples that somebody changed during the push; left alone."""
    boxes: int = 0
    """Boxes in the samples that were added or refreshed."""
    failures: list[tuple[str, str]] = field(default_factory=list)
    """Pairs whose image cannot be shown, with the reason."""


def push(
    dataset: StoredDataset,
    annotations: Callable[[], Iterable[Annotation]],
    decisions: Sequence[Decision],
    *,
    media: MediaStore,
    selection: Selection,
    limit: int | None = None,
    progress: Callable[[int], object] = lambda done: None,
) -> PushReport:
    """Bring the dataset up to what stands in the run; human work in it stays.

    Args:
        dataset: from `create_dataset`, or of an earlier push.
        annotations: gives every committed row of the run, each time it is called.
        decisions: every decision of the run so far.
        media: where images become files.
        selection: which pairs and boxes are shown.
        limit: at most so many pairs.
        progress: called with the number of samples done.

    Raises:
        DataError: a decision is about a box or phrase that the run does not have.
        ConfigError: the policy needs scores that the run does not have.
    """
    report = PushReport()
    by_record = decisions_by_record(decisions)
    stale = dataset.sample_ids()
    chosen = islice(_chosen(annotations(), by_record, selection), limit)
    with ThreadPoolExecutor(MEDIA_THREADS) as pool:
        while batch := list(islice(chosen, BATCH)):
            files = pool.map(lambda item: _file_of(media, item.row), batch)
            known = [
                i for i in (sample_object_id(item.row.record_id) for item in batch) if i in stale
            ]
            stale.difference_update(known)
            documents = dataset.documents(known)
            operations: list[Any] = []
            for item, (filepath, failure) in zip(batch, files, strict=True):
                if failure is not None:
                    report.failures.append((item.row.record_id, failure))
                    continue
                old = documents.get(sample_object_id(item.row.record_id))
                operation = _operation(dataset, item, filepath, old, report)
                if operation is not None:
                    operations.append(operation)
            _write(dataset, operations, report)
            progress(report.added + report.refreshed)
    _remove(dataset, annotations(), by_record, stale, report)
    return report


@dataclass(frozen=True, slots=True)
class _Chosen:
    """A pair with everything a sample is made of, but the file."""

    row: Annotation
    histories: Mapping[str, BoxHistory]
    shown: tuple[Standing, ...]


def _chosen(
    annotations: Iterable[Annotation],
    by_record: Mapping[str, Sequence[Decision]],
    selection: Selection,
) -> Iterator[_Chosen]:
    for row in annotations:
        decided = by_record.get(row.record_id, ())
        box_ids = selection.shown_box_ids(row)
        if box_ids is None and not decided:
            continue
        histories = box_histories(row, decided)
        shown = tuple(
            history.current()
            for box_id, history in histories.items()
            if history.latest is not None or box_id in (box_ids or ())
        )
        yield _Chosen(row, histories, shown)


def _file_of(media: MediaStore, row: Annotation) -> tuple[str, str | None]:
    try:
        return media.filepath(row), None
    except RecordError as error:
        return "", str(error)


def _operation(
    dataset: StoredDataset,
    item: _Chosen,
    filepath: str,
    old: Document | None,
    report: PushReport,
) -> Any:
    # MongoDB keeps milliseconds; a finer time would never match again.
    now = datetime.now(UTC).replace(tzinfo=None)
    now = now.replace(microsecond=now.microsecond // 1000 * 1000)
    fresh = sample_document(
        item.row, item.shown, filepath=filepath, dataset_id=dataset.dataset_id, now=now
    )
    if old is None:
        report.added += 1
        report.boxes += len(item.shown)
        return InsertOne(fresh)
    merged = merge_boxes(old, item.row, item.histories, item.shown)
    report.refreshed += 1
    report.kept_labels += merged.kept
    report.boxes += len(merged.detections)
    new = {
        **old,
        **{key: fresh[key] for key in _RUN_KEYS},
        "pushed_box_ids": merged.pushed_box_ids,
        BOXES: {"_cls": "Detections", "detections": merged.detections},
    }
    if new == old:
        return None
    new["last_modified_at"] = now
    # Only if nobody edited the sample since it was read.
    return ReplaceOne({"_id": old["_id"], "last_modified_at": old["last_modified_at"]}, new)


def _write(dataset: StoredDataset, operations: list[Any], report: PushReport) -> None:
    if not operations:
        return
    done = dataset.samples.bulk_write(operations, ordered=False)
    replacements = sum(1 for operation in operations if isinstance(operation, ReplaceOne))
    report.edited_meanwhile += replacements - done.matched_count


def _remove(
    dataset: StoredDataset,
    annotations: Iterable[Annotation],
    by_record: Mapping[str, Sequence[Decision]],
    stale: set[ObjectId],
    report: PushReport,
) -> None:
    """Take samples out that the selection leaves out now, unless people worked on them."""
    if not stale:
        return
    rows = (row for row in annotations if sample_object_id(row.record_id) in stale)
    while batch := list(islice(rows, BATCH)):
        documents = dataset.documents(sample_object_id(row.record_id) for row in batch)
        operations: list[Any] = []
        for row in batch:
            document = documents.get(sample_object_id(row.record_id))
            if document is None:
                continue
            histories = box_histories(row, by_record.get(row.record_id, ()))
            if not has_human_work(document, row, histories):
                match = {
                    "_id": document["_id"],
                    "last_modified_at": document["last_modified_at"],
                }
                operations.append(DeleteOne(match))
        if operations:
            done = dataset.samples.bulk_write(operations, ordered=False)
            report.removed += done.deleted_count
