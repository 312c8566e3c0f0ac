"""How far a review is: so many of so many, boxes an hour, time left; from the samples and the
journal, so that it is true before any pull."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

from bson import ObjectId

from pipeline.curation.box_state import PairReview, Review
from pipeline.review.sync.label.documents import DETECTIONS
from pipeline.review.sync.label.notes import SHOWN
from pipeline.review.sync.store.journal import journal_entries
from pipeline.review.sync.store.label_store import LabelStore

BREAK_S = 300.0
"""A longer pause between two clicks is not work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The state of a review; boxes are those that show by default."""

    pairs: int
    pairs_closed: int
    """Done, bad or missing something."""
    boxes: int
    boxes_judged: int
    own_boxes: int
    """Judged by the store's reviewer."""
    own_hours: float
    """In which that reviewer clicked, without breaks."""

    @property
    def boxes_an_hour(self) -> float | None:
        """Of the reviewer; None before there is a span of time."""
        return self.own_boxes / self.own_hours if self.own_hours and self.own_boxes else None

    @property
    def hours_left(self) -> float | None:
        """Until every box is judged, by this reviewer alone."""
        speed = self.boxes_an_hour
        return None if speed is None else (self.boxes - self.boxes_judged) / speed

    def sentence(self) -> str:
        """All of it in one line."""
        text = (
            f"{self.pairs_closed:,} of {self.pairs:,} pairs done, "
            f"{self.boxes_judged:,} of {self.boxes:,} boxes judged"
        )
        speed, left = self.boxes_an_hour, self.hours_left
        if speed is not None and left is not None:
            text += f"; {speed:,.0f} boxes an hour, {time_words(left)} left"
        return text


def time_words(hours: float) -> str:
    """Hours as people say them."""
    if hours < 1.5:
        return f"{hours * 60:,.0f} min"
    return f"{hours:,.1f} h"


def read_progress(store: LabelStore, dataset_id: ObjectId) -> Progress:
    """Count; one pass over the samples in the database, one over the reviewer's journal."""
    word = {"$ifNull": ["$pair_review", str(PairReview.OPEN)]}
    of_pairs = {
        str(raw["_id"] or PairReview.OPEN): int(raw["n"])
        for raw in store.samples.aggregate([{"$group": {"_id": word, "n": {"$sum": 1}}}])
    }
    pairs = sum(of_pairs.values())
    shown = {"$gte": [{"$ifNull": ["$box.level", SHOWN]}, SHOWN]}
    of_boxes = list(
        store.samples.aggregate(
            [
                {"$project": {"box": f"${DETECTIONS}"}},
                {"$unwind": "$box"},
                {"$match": {"$expr": shown}},
                {"$group": {"_id": "$box.review", "n": {"$sum": 1}}},
            ],
            allowDiskUse=True,
        )
    )
    boxes = sum(int(raw["n"]) for raw in of_boxes)
    pending = sum(int(r["n"]) for r in of_boxes if (r["_id"] or Review.PENDING) == Review.PENDING)
    own = list(
        journal_entries(store.samples.database, dataset_id).find(
            {"reviewer": store.reviewer}, {"at": 1, "label_id": 1, "undoes": 1}
        )
    )
    undone = [entry for entry in own if entry.get("undoes") is not None]
    words = {entry["label_id"] for entry in own if entry.get("label_id") is not None}
    words -= {entry["label_id"] for entry in undone}
    return Progress(
        pairs=pairs,
        pairs_closed=pairs - of_pairs.get(str(PairReview.OPEN), 0),
        boxes=boxes,
        boxes_judged=boxes - pending,
        own_boxes=len(words),
        own_hours=hours_of([str(entry["at"]) for entry in own]),
    )


def hours_of(moments: Sequence[str]) -> float:
    """The time that clicks took, breaks left out."""
    times = sorted({datetime.fromisoformat(moment).timestamp() for moment in moments})
    return sum(gap for gap in (b - a for a, b in pairwise(times)) if gap <= BREAK_S) / 3600


def as_json(progress: Progress) -> dict[str, Any]:
    """Plain values for the page."""
    return {
        "pairs": progress.pairs,
        "pairs_closed": progress.pairs_closed,
        "boxes": progress.boxes,
        "boxes_judged": progress.boxes_judged,
        "own_boxes": progress.own_boxes,
        "boxes_an_hour": progress.boxes_an_hour,
        "hours_left": progress.hours_left,
        "sentence": progress.sentence(),
    }
