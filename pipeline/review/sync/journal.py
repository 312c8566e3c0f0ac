"""The journal of a dataset: every write of a reviewer, with what was there before and after.

A label holds only its last verdict. The journal keeps those before it, so that of two reviewers on
one box neither is lost, an undo knows what to put back, and a deletion has an author. One MongoDB
collection a dataset; entries are only added, and marked when a pull has made decisions of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bson import ObjectId
from pymongo.collection import Collection

from pipeline.review.sync.mongo_store import Document, StoredDataset
from pipeline.review.sync.stamp import now


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One write of a reviewer."""

    sample_id: ObjectId
    label_id: ObjectId | None
    """None for a verdict about the whole pair."""
    reviewer: str
    at: str
    """As `stamp.timestamp` writes it."""
    before: Document | None
    """The whole label before; None for a new one. For a pair: its `pair_*` fields."""
    after: Document | None
    """The whole label after; None for a deletion. For a pair: its `pair_*` fields."""
    entry_id: ObjectId | None = None
    """Set when read."""


class Journal:
    """The entries of one dataset."""

    def __init__(self, dataset: StoredDataset) -> None:
        """Open, or make when the first entry is written."""
        database = dataset.samples.database
        self._entries: Collection[Document] = database[f"glipforge.{dataset.dataset_id}.journal"]

    def add(self, entries: Sequence[Entry]) -> None:
        """Append entries; on disk when this returns."""
        if entries:
            self._entries.insert_many(
                [
                    {
                        "sample_id": entry.sample_id,
                        "label_id": entry.label_id,
                        "reviewer": entry.reviewer,
                        "at": entry.at or now(),
                        "before": entry.before,
                        "after": entry.after,
                        "taken": False,
                    }
                    for entry in entries
                ]
            )

    def waiting(self, sample_ids: Iterable[ObjectId] | None = None) -> dict[ObjectId, list[Entry]]:
        """Sample id -> the entries that no pull has taken, oldest first.

        Args:
            sample_ids: only of these samples; of all where None.
        """
        match: dict[str, Any] = {"taken": False}
        if sample_ids is not None:
            match["sample_id"] = {"$in": list(sample_ids)}
        found: dict[ObjectId, list[Entry]] = {}
        for raw in self._entries.find(match).sort([("at", 1), ("_id", 1)]):
            found.setdefault(raw["sample_id"], []).append(_entry(raw))
        return found

    def latest(self, reviewer: str, count: int) -> list[Entry]:
        """The last entries of one reviewer, newest first."""
        found = self._entries.find({"reviewer": reviewer}).sort([("at", -1), ("_id", -1)])
        return [_entry(raw) for raw in found.limit(count)]

    def take(self, entry_ids: Iterable[ObjectId]) -> None:
        """Mark entries as decisions of the run."""
        ids = list(entry_ids)
        if ids:
            self._entries.update_many({"_id": {"$in": ids}}, {"$set": {"taken": True}})

    def drop(self) -> None:
        """Forget all: the dataset goes."""
        self._entries.drop()


def _entry(raw: Mapping[str, Any]) -> Entry:
    return Entry(
        sample_id=raw["sample_id"],
        label_id=raw.get("label_id"),
        reviewer=str(raw.get("reviewer") or ""),
        at=str(raw.get("at") or ""),
        before=raw.get("before"),
        after=raw.get("after"),
        entry_id=raw["_id"],
    )
