"""From the run to the App: annotations and decisions as a dataset that people can review."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from bson import ObjectId
from pymongo import ReplaceOne, UpdateOne

from pipeline.curation.box_state import (
    BoxHistory,
    Origin,
    PairHistory,
    PairReview,
    Standing,
    box_histories,
    pair_history,
)
from pipeline.curation.decisions import decisions_by_record
from pipeline.curation.own_phrases import with_phrases
from pipeline.review.sync.label.documents import BOXES, sample_document, sample_object_id
from pipeline.review.sync.label.notes import (
    LEVEL,
    NO_NOTES,
    SHOWN,
    Notes,
    box_notes,
    pair_notes,
)
from pipeline.review.sync.label.stamp import PAIR_FIELDS
from pipeline.review.sync.push.media import MediaStore
from pipeline.review.sync.push.merge import (
    merge_boxes,
    merge_pair,
    merge_phrases,
)
from pipeline.review.sync.push.rare_phrases import note_rare_phrases
from pipeline.review.sync.push.selection import Selection
from pipeline.review.sync.push.stale import remove_stale
from pipeline.review.sync.store.journal import Journal
from pipeline.review.sync.store.label_store import remember_samples
from pipeline.review.sync.store.ledger import Ledger
from pipeline.review.sync.store.mongo_store import Document, StoredDataset
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
    """Samples that differ from what was there."""
    unchanged: int = 0
    left_out: int = 0
    """Pairs that people called bad or deleted in the App, and that are not put back."""
    removed: int = 0
    """Samples that the selection leaves out now and that held no human work."""
    kept_labels: int = 0
    """Labels left as people made them."""
    edited_meanwhile: int = 0
    """Samples that somebody changed during the push; left alone."""
    boxes: int = 0
    """Boxes in all samples that this push looked at."""
    shown: int = 0
    """The teacher's of them that show by default."""
    failures: list[tuple[str, str]] = field(default_factory=list)
    """Pairs whose image cannot be shown, with the reason."""

    @property
    def pairs(self) -> int:
        """Pairs that this push dealt with."""
        dealt = (self.added, self.refreshed, self.unchanged, self.left_out, self.edited_meanwhile)
        return sum(dealt) + len(self.failures)


def push(
    dataset: StoredDataset,
    annotations: Callable[[], Iterable[Annotation]],
    decisions: Sequence[Decision],
    *,
    media: MediaStore,
    selection: Selection,
    limit: int | None = None,
    restore: bool = False,
    notes: Notes = NO_NOTES,
    progress: Callable[[int], object] = lambda done: None,
) -> PushReport:
    """Bring the dataset up to what stands in the run; human work in it stays.

    A pair that people deleted in the App or called bad is not put into the dataset again.

    Args:
        dataset: from `create_dataset`, or of an earlier push.
        annotations: gives every committed row of the run, each time it is called.
        decisions: every decision of the run so far.
        media: where images become files.
        selection: which pairs and boxes are shown.
        limit: at most so many pairs.
        restore: put those pairs back all the same.
        notes: what the run knows about its boxes.
        progress: called with the number of samples done.

    Raises:
        DataError: a decision is about a box or phrase that the run does not have.
        ConfigError: the policy needs scores that the run does not have.
    """
    report = PushReport()
    by_record = decisions_by_record(decisions)
    ledger = Ledger(dataset)
    pushed = ledger.known()
    stale = dataset.sample_ids()
    chosen = islice(_chosen(annotations(), by_record, selection, notes), limit)
    with ThreadPoolExecutor(MEDIA_THREADS) as pool:
        while batch := list(islice(chosen, BATCH)):
            ids = [sample_object_id(item.row.record_id) for item in batch]
            known = [i for i in ids if i in stale]
            stale.difference_update(known)
            documents = dataset.documents(known)
            waiting = Journal(dataset).waiting_labels(known) if known else {}
            shown = [
                item
                for item, i in zip(batch, ids, strict=True)
                if restore or i in documents or not _is_gone(item, pushed.get(i))
            ]
            report.left_out += len(batch) - len(shown)
            files = pool.map(lambda item: _file_of(media, item.row), shown)
            operations: list[Any] = []
            replaced: list[Document] = []
            present: dict[ObjectId, str] = {}
            for item, (filepath, failure) in zip(shown, files, strict=True):
                if failure is not None:
                    report.failures.append((item.row.record_id, failure))
                    continue
                sample_id = sample_object_id(item.row.record_id)
                present[sample_id] = item.row.record_id
                old = documents.get(sample_id)
                report.shown += sum(
                    item.notes[box.box_id][LEVEL] >= SHOWN and box.origin != Origin.HUMAN
                    for box in item.shown
                )
                said = waiting.get(sample_id, set())
                operation = _operation(dataset, item, filepath, old, report, said)
                if operation is not None:
                    operations.append(operation)
                    if old is not None:
                        replaced.append(old)
            # First: who has one of them open saves into the new one, joined field by field.
            remember_samples(dataset.samples, replaced)
            _write(dataset, operations, report)
            ledger.add({i: r for i, r in present.items() if pushed.get(i) is not False})
            progress(report.pairs)
    report.removed = remove_stale(dataset, ledger, annotations(), by_record, stale)
    note_rare_phrases(dataset)
    return report


def forget(dataset: StoredDataset) -> None:
    """Remove what is kept beside a dataset that is going to be dropped."""
    Ledger(dataset).drop()
    Journal(dataset).drop()


def _is_gone(item: _Chosen, deletion_taken: bool | None) -> bool:
    """True for a pair without a sample that people do not want: deleted, or called bad.

    `deletion_taken` is the ledger's word: None where it was never pushed.
    """
    return deletion_taken is False or item.pair.current().review == PairReview.BAD


@dataclass(frozen=True, slots=True)
class _Chosen:
    """A pair with everything a sample is made of, but the file."""

    row: Annotation
    histories: Mapping[str, BoxHistory]
    shown: tuple[Standing, ...]
    pair: PairHistory
    notes: Mapping[str, Mapping[str, Any]]
    pair_notes: Mapping[str, Any]


def _chosen(
    annotations: Iterable[Annotation],
    by_record: Mapping[str, Sequence[Decision]],
    selection: Selection,
    notes: Notes,
) -> Iterator[_Chosen]:
    for row in annotations:
        decided = by_record.get(row.record_id, ())
        box_ids = selection.shown_box_ids(row)
        if box_ids is None and (selection.leaves_judged_out or not decided):
            continue
        histories = box_histories(row, decided)
        shown = tuple(
            history.current()
            for box_id, history in histories.items()
            if history.latest is not None or box_id in (box_ids or ())
        )
        kept = None if notes.keeps is None else notes.keeps(row)
        again = {} if notes.again is None else notes.again(row)
        of_boxes = {box.box_id: box_notes(box, notes, kept, again.get(box.box_id)) for box in shown}
        of_pair = pair_notes(row, shown, notes, decided, of_boxes)
        row = with_phrases(row, decided)
        yield _Chosen(row, histories, shown, pair_history(decided), of_boxes, of_pair)


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
    waiting: Collection[ObjectId | None],
) -> Any:
    # MongoDB keeps milliseconds; a finer time would never match again.
    now = datetime.now(UTC).replace(tzinfo=None)
    now = now.replace(microsecond=now.microsecond // 1000 * 1000)
    fresh = sample_document(
        item.row,
        item.shown,
        filepath=filepath,
        dataset_id=dataset.dataset_id,
        now=now,
        pair=item.pair.current(),
        notes=item.notes,
        pair_notes=item.pair_notes,
    )
    if old is None:
        report.boxes += len(item.shown)
        # Not an insert: a second push at the same time is not an error.
        return UpdateOne({"_id": fresh.pop("_id")}, {"$setOnInsert": fresh}, upsert=True)
    merged = merge_boxes(old, item.row, item.histories, item.shown, item.notes, waiting)
    report.kept_labels += merged.kept
    report.boxes += len(merged.detections)
    new = {
        **old,
        **{key: fresh[key] for key in _RUN_KEYS},
        "phrases": merge_phrases(fresh["phrases"], old),
        **merge_pair(old, item.pair, waiting=None in waiting),
        **item.pair_notes,
        "pushed_box_ids": merged.pushed_box_ids,
        BOXES: {"_cls": "Detections", "detections": merged.detections},
    }
    if new == old:
        report.unchanged += 1
        return None
    new["last_modified_at"] = now
    # Only if nobody edited the sample since it was read, also by a writer that leaves the time.
    unread = ("last_modified_at", BOXES, *PAIR_FIELDS, "tags")
    return ReplaceOne({"_id": old["_id"], **{key: old.get(key) for key in unread}}, new)


def _write(dataset: StoredDataset, operations: list[Any], report: PushReport) -> None:
    if not operations:
        return
    done = dataset.samples.bulk_write(operations, ordered=False)
    replacing = sum(1 for operation in operations if isinstance(operation, ReplaceOne))
    # An upsert matches where another push was quicker.
    found = len(operations) - replacing - done.upserted_count
    replaced = done.matched_count - found
    report.added += done.upserted_count
    report.unchanged += found
    report.refreshed += replaced
    report.edited_meanwhile += replacing - replaced
