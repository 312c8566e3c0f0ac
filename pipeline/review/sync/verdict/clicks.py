"""What a reviewer did, click by click, newest first: the log from which any click is taken back."""

from __future__ import annotations

from dataclasses import dataclass

from bson import ObjectId

from pipeline.review.sync.store.journal import journal_entries
from pipeline.review.sync.store.label_store import LabelStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Click:
    """One write of a reviewer; it may have changed boxes of several images."""

    group: ObjectId
    action: str
    at: str
    """As `stamp.timestamp` writes it."""
    labels: int
    samples: int
    caption: str
    """Of the first image."""
    is_undone: bool


def clicks(
    store: LabelStore, dataset_id: ObjectId, *, limit: int = 50, everybody: bool = False
) -> list[Click]:
    """The last clicks.

    Args:
        store: the dataset, in the name of a reviewer.
        dataset_id: of the dataset.
        limit: at most so many.
        everybody: those of all reviewers.
    """
    journal = journal_entries(store.samples.database, dataset_id)
    own = {} if everybody else {"reviewer": store.reviewer}
    found = list(
        journal.aggregate(
            [
                {"$match": {**own, "undoes": None}},
                {"$sort": {"at": 1, "_id": 1}},
                {
                    "$group": {
                        "_id": "$group",
                        "action": {"$last": "$action"},
                        "at": {"$last": "$at"},
                        "labels": {"$sum": 1},
                        "samples": {"$addToSet": "$sample_id"},
                        "first": {"$first": "$sample_id"},
                    }
                },
                {"$sort": {"at": -1, "_id": -1}},
                {"$limit": limit},
            ]
        )
    )
    undone = set(journal.distinct("undoes", {"undoes": {"$in": [raw["_id"] for raw in found]}}))
    captions = {
        raw["_id"]: str(raw.get("caption") or "")
        for raw in store.samples.find({"_id": {"$in": [r["first"] for r in found]}}, {"caption": 1})
    }
    return [
        Click(
            group=raw["_id"],
            action=str(raw["action"]),
            at=str(raw["at"]),
            labels=int(raw["labels"]),
            samples=len(raw["samples"]),
            caption=captions.get(raw["first"], "a sample that is gone"),
            is_undone=raw["_id"] in undone,
        )
        for raw in found
    ]
