"""Who looks at which pairs: a split of the open ones, without overlap or with a stated one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

from bson import ObjectId
from pymongo import UpdateOne

from pipeline.review.sync.dataset.views import reviewer_view
from pipeline.review.sync.label.stamp import PAIR_REVIEW
from pipeline.review.sync.store.mongo_store import StoredDataset
from schemas.errors import ConfigError

ASSIGNED = "assigned_to"
BATCH = 1000


def view_name(reviewer: str) -> str:
    """The saved view of what a reviewer is to look at."""
    return f"for {reviewer}"


def split(
    keys: Iterable[str], reviewers: Sequence[str], *, overlap: float = 0.0, seed: int = 0
) -> dict[str, tuple[str, ...]]:
    """Key -> its reviewers: one each, or two for the share `overlap`.

    The same keys, names and seed give the same split. Shares differ by one pair at most, and every
    two reviewers share equally many of the overlapping ones.

    Raises:
        ConfigError: fewer than one name, a name twice, or an overlap that cannot be.
    """
    if not reviewers or len(set(reviewers)) != len(reviewers):
        raise ConfigError(
            f"reviewers must be different names, got {', '.join(reviewers) or 'none'}"
        )
    if not 0.0 <= overlap <= 1.0:
        raise ConfigError(f"overlap must be in [0, 1], got {overlap}")
    if overlap and len(reviewers) < 2:
        raise ConfigError(f"overlap {overlap} needs two reviewers or more, got {reviewers[0]}")
    order = sorted(keys, key=lambda key: hashlib.blake2b(f"{seed}:{key}".encode()).digest())
    shared = round(overlap * len(order))
    pairs = list(combinations(reviewers, 2))
    found: dict[str, tuple[str, ...]] = {
        key: pairs[number % len(pairs)] for number, key in enumerate(order[:shared])
    }
    load = {name: sum(name in names for names in found.values()) for name in reviewers}
    for key in order[shared:]:
        name = min(reviewers, key=lambda one: (load[one], reviewers.index(one)))
        load[name] += 1
        found[key] = (name,)
    return found


def open_pairs(dataset: StoredDataset) -> dict[str, ObjectId]:
    """Record id -> sample id of the pairs that nobody has called done, bad or missing."""
    match = {"$or": [{PAIR_REVIEW: {"$in": [None, "", "open"]}}, {PAIR_REVIEW: {"$exists": False}}]}
    found = dataset.samples.find(match, {"record_id": 1})
    return {str(raw["record_id"]): raw["_id"] for raw in found}


def write_assignment(
    dataset: StoredDataset, samples: Mapping[str, ObjectId], names: Mapping[str, Sequence[str]]
) -> None:
    """Note the reviewers of each sample; those of other samples are taken away.

    `last_modified_at` stays: a reviewer who has a sample open could otherwise not save.
    """
    dataset.samples.update_many({}, {"$set": {ASSIGNED: []}})
    updates = [
        UpdateOne({"_id": samples[key]}, {"$set": {ASSIGNED: list(of_key)}})
        for key, of_key in names.items()
    ]
    for start in range(0, len(updates), BATCH):
        dataset.samples.bulk_write(updates[start : start + BATCH], ordered=False)


def save_assignment_views(dataset: Any, reviewers: Sequence[str]) -> None:
    """Declare the field and save a view for each reviewer; runs where FiftyOne is loaded."""
    import fiftyone as fo
    from fiftyone import ViewField as F

    if not dataset.has_sample_field(ASSIGNED):
        dataset.add_sample_field(ASSIGNED, fo.ListField, subfield=fo.StringField)
    for name in dataset.list_saved_views():
        if name.startswith(view_name("")):
            dataset.delete_saved_view(name)
    for reviewer in reviewers:
        view = dataset.match(F(ASSIGNED).contains([F.literal(reviewer)]))
        name = reviewer_view(dataset, "for", reviewer)
        dataset.save_view(name, view, description=f"pairs that {reviewer} looks at")
