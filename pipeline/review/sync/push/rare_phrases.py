"""How rare the rarest phrase of each pair is, counted over the whole dataset."""

from __future__ import annotations

from typing import Any

from pymongo import UpdateOne

from pipeline.review.sync.label.notes import RAREST_PHRASE
from pipeline.review.sync.store.mongo_store import StoredDataset

BATCH = 10_000


def note_rare_phrases(dataset: StoredDataset) -> None:
    """Write on each sample how many pairs have its rarest phrase.

    `last_modified_at` stays: a reviewer who has a sample open could otherwise not save.
    """
    texts = {"$setUnion": [{"$ifNull": ["$phrases.text", []]}, []]}
    counts = {
        entry["_id"]: entry["pairs"]
        for entry in dataset.samples.aggregate(
            [
                {"$project": {"text": texts}},
                {"$unwind": "$text"},
                {"$group": {"_id": "$text", "pairs": {"$sum": 1}}},
            ],
            allowDiskUse=True,
        )
    }
    updates: list[Any] = []
    for raw in dataset.samples.find({}, {"phrases.text": 1, RAREST_PHRASE: 1}, batch_size=BATCH):
        found = [counts[phrase["text"]] for phrase in raw.get("phrases") or ()]
        rarest = min(found, default=None)
        if RAREST_PHRASE not in raw or raw[RAREST_PHRASE] != rarest:
            updates.append(UpdateOne({"_id": raw["_id"]}, {"$set": {RAREST_PHRASE: rarest}}))
        if len(updates) == BATCH:
            dataset.samples.bulk_write(updates, ordered=False)
            updates = []
    if updates:
        dataset.samples.bulk_write(updates, ordered=False)
