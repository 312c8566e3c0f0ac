"""Samples that a push leaves out now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

from bson import ObjectId
from pymongo import DeleteOne

from pipeline.curation.box_state import box_histories, pair_history
from pipeline.curation.own_phrases import with_phrases
from pipeline.review.sync.label.documents import sample_object_id
from pipeline.review.sync.push.merge import has_human_work
from pipeline.review.sync.store.journal import Journal
from pipeline.review.sync.store.ledger import Ledger
from pipeline.review.sync.store.mongo_store import StoredDataset
from schemas.records import Annotation, Decision

BATCH = 1000


def remove_stale(
    dataset: StoredDataset,
    ledger: Ledger,
    annotations: Iterable[Annotation],
    by_record: Mapping[str, Sequence[Decision]],
    stale: set[ObjectId],
) -> int:
    """Take samples out without work of people that the selection leaves out; returns how many."""
    removed = 0
    if not stale:
        return removed
    rows = (row for row in annotations if sample_object_id(row.record_id) in stale)
    while batch := list(islice(rows, BATCH)):
        documents = dataset.documents(sample_object_id(row.record_id) for row in batch)
        waiting = Journal(dataset).waiting_labels(documents)
        operations: dict[ObjectId, DeleteOne] = {}
        for row in batch:
            document = documents.get(sample_object_id(row.record_id))
            if document is None or document["_id"] in waiting:
                continue
            past = by_record.get(row.record_id, ())
            row = with_phrases(row, past)
            if not has_human_work(document, row, box_histories(row, past), pair_history(past)):
                match = {
                    "_id": document["_id"],
                    "last_modified_at": document["last_modified_at"],
                }
                operations[document["_id"]] = DeleteOne(match)
        if operations:
            # First out of the ledger: what is gone from the samples alone was deleted by people.
            ledger.remove(operations)
            done = dataset.samples.bulk_write(list(operations.values()), ordered=False)
            kept = dataset.documents(operations)  # edited meanwhile
            ledger.add({i: str(document["record_id"]) for i, document in kept.items()})
            removed += done.deleted_count
    return removed
