"""Which samples a push has put into a dataset: one that is missing later was deleted in the App.

One MongoDB collection a dataset. An entry is written after its sample and removed before it, so
that a process that dies in between can lose an entry, and never calls a pair deleted that was not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bson import ObjectId
from pymongo import UpdateOne
from pymongo.collection import Collection

from pipeline.review.sync.store.mongo_store import Document, StoredDataset


class Ledger:
    """The pushed samples of one dataset."""

    def __init__(self, dataset: StoredDataset) -> None:
        """Open, or make when the first entry is written."""
        database = dataset.samples.database
        self._pushed: Collection[Document] = database[f"glipforge.{dataset.dataset_id}.pushed"]

    def add(self, record_ids: Mapping[ObjectId, str]) -> None:
        """These samples are in the dataset."""
        if record_ids:
            self._pushed.bulk_write(
                [
                    UpdateOne(
                        {"_id": sample_id},
                        {"$set": {"record_id": record_id, "taken": False}},
                        upsert=True,
                    )
                    for sample_id, record_id in record_ids.items()
                ],
                ordered=False,
            )

    def remove(self, sample_ids: Iterable[ObjectId]) -> None:
        """A push takes these samples out."""
        ids = list(sample_ids)
        if ids:
            self._pushed.delete_many({"_id": {"$in": ids}})

    def known(self) -> dict[ObjectId, bool]:
        """Sample id -> True where its deletion is already a decision of the run."""
        return {raw["_id"]: bool(raw["taken"]) for raw in self._pushed.find({}, {"taken": 1})}

    def record_ids(self, sample_ids: Iterable[ObjectId]) -> dict[ObjectId, str]:
        """Sample id -> the pair that it showed."""
        found = self._pushed.find({"_id": {"$in": list(sample_ids)}})
        return {raw["_id"]: raw["record_id"] for raw in found}

    def take(self, sample_ids: Iterable[ObjectId]) -> None:
        """The deletion of these samples is a decision of the run now."""
        ids = list(sample_ids)
        if ids:
            self._pushed.update_many({"_id": {"$in": ids}}, {"$set": {"taken": True}})

    def drop(self) -> None:
        """Forget all: the dataset goes."""
        self._pushed.drop()
