"""The journal of the App, as `pull` reads it: what each reviewer wrote, before and after.

A label holds only its last verdict. The journal keeps those before it, so that of two reviewers on
one box neither is lost, and a deletion has an author. The App notes every label that a write
changes (`label_store`); a pull marks the entries that are decisions of the run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bson import ObjectId
from pymongo.collection import Collection

from pipeline.review.sync.label.stamp import (
    PAIR_REASON,
    PAIR_REVIEW,
    PAIR_REVIEWED_AT,
    REVIEWED_AT,
    REVIEWER,
)
from pipeline.review.sync.store.mongo_store import Document, StoredDataset


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What one write of a reviewer did to one label, or to the verdict about the pair."""

    entry_id: ObjectId
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
    group: ObjectId | None = None
    """The click that it belongs to."""
    undoes: ObjectId | None = None
    """The click that it takes back: `after` is then what stood before that click."""
    undone_at: str = ""
    """When that click was made."""
    earlier: Document | None = None
    """What the same reviewer had made of the label before that click; None: nothing that is known,
    or a deletion."""


def journal_entries(database: Any, dataset_id: ObjectId) -> Collection[Document]:
    """Where the entries of a dataset are."""
    entries: Collection[Document] = database[f"glipforge.{dataset_id}.journal"]
    return entries


class Journal:
    """The entries about one dataset."""

    def __init__(self, dataset: StoredDataset) -> None:
        """Open; a dataset whose App never wrote has no entry."""
        self._rows = journal_entries(dataset.samples.database, dataset.dataset_id)

    def waiting(self) -> dict[ObjectId, list[Entry]]:
        """Sample id -> what no pull has taken, oldest first."""
        found: dict[ObjectId, list[Entry]] = {}
        waiting = {"taken": {"$ne": True}}
        undone = self._rows.distinct("undoes", {**waiting, "undoes": {"$ne": None}})
        times = {raw["group"]: raw["at"] for raw in self._rows.find({"group": {"$in": undone}})}
        for raw in self._rows.find(waiting).sort([("at", 1), ("_id", 1)]):
            entry = _entry(raw, times)
            if entry is not None and entry.undoes is not None and entry.label_id is not None:
                entry = replace(entry, earlier=self._earlier(entry))
            if entry is not None:
                found.setdefault(entry.sample_id, []).append(entry)
        return found

    def _earlier(self, undo: Entry) -> Document | None:
        """The label as the last click of its reviewer left it before the one that is taken back."""
        undone = self._rows.distinct("undoes", {"sample_id": undo.sample_id})
        found = self._rows.find_one(
            {
                "sample_id": undo.sample_id,
                "label_id": undo.label_id,
                "reviewer": undo.reviewer,
                "at": {"$lt": undo.undone_at},
                "undoes": None,
                "group": {"$nin": [group for group in undone if group is not None]},
            },
            sort=[("at", -1), ("_id", -1)],
        )
        return None if found is None else found.get("after")

    def waiting_labels(
        self, sample_ids: Iterable[ObjectId]
    ) -> dict[ObjectId, set[ObjectId | None]]:
        """Sample id -> labels of which no pull has taken all that was done; None: of its own word.

        Ask after the samples are read: an entry is older than its write.
        """
        self._rows.create_index("sample_id")
        wanted = {"sample_id": {"$in": list(sample_ids)}, "taken": {"$ne": True}}
        shape = {"sample_id": 1, "label_id": 1, f"after.{PAIR_REVIEW}": 1}
        found: dict[ObjectId, set[ObjectId | None]] = {}
        for raw in self._rows.find(wanted, shape):
            if raw.get("label_id") is not None or PAIR_REVIEW in (raw.get("after") or {}):
                found.setdefault(raw["sample_id"], set()).add(raw.get("label_id"))
        return found

    def take(self, entry_ids: Iterable[ObjectId]) -> None:
        """Mark entries as decisions of the run."""
        ids = list(entry_ids)
        if ids:
            self._rows.update_many({"_id": {"$in": ids}}, {"$set": {"taken": True}})

    def drop(self) -> None:
        """Forget all: the dataset goes."""
        self._rows.drop()


def _entry(raw: Mapping[str, Any], times: Mapping[Any, str]) -> Entry | None:
    """One entry; None for a change of a sample's fields without the word and its reason.

    Only what changed is in it: the sample itself tells the rest. `times`: click -> when.
    """
    if raw.get("label_id") is None:
        after = raw.get("after") or {}
        if PAIR_REVIEW not in after or (after[PAIR_REVIEW] == "bad" and PAIR_REASON not in after):
            return None
    return Entry(
        entry_id=raw["_id"],
        sample_id=raw["sample_id"],
        label_id=raw.get("label_id"),
        reviewer=str(raw.get("reviewer") or ""),
        at=str(raw.get("at") or ""),
        before=raw.get("before"),
        after=raw.get("after"),
        group=raw.get("group"),
        undoes=raw.get("undoes"),
        undone_at=str(times.get(raw.get("undoes"), "")),
    )


def reached(entries: Sequence[Entry], document: Mapping[str, Any] | None) -> list[Entry]:
    """The entries whose write reached the sample.

    The App notes a write before it makes it. Where it was killed in between, nothing that came
    later knows the entry: neither the label as it is now, nor a later entry's label before.

    Args:
        entries: of one sample, oldest first.
        document: the sample; None where it was deleted, which proves nothing against an entry.
    """
    if document is None:
        return list(entries)
    boxes = (document.get("boxes") or {}).get("detections") or ()
    now = {label.get("_id"): label for label in boxes if isinstance(label, Mapping)}
    found: list[Entry] = []
    for number, entry in enumerate(entries):
        later = [e.before for e in entries[number + 1 :] if e.label_id == entry.label_id]
        if entry.label_id is None:
            at = (entry.after or {}).get(PAIR_REVIEWED_AT)
            if any((fields or {}).get(PAIR_REVIEWED_AT) == at for fields in (*later, document)):
                found.append(entry)
            continue
        seen = [*later, now.get(entry.label_id)]
        if entry.after is None:
            fits = None in seen
        else:
            stamp: tuple[Any, Any] = (entry.reviewer, entry.at)
            if entry.undoes is not None:  # the label has the stamp that it had before
                stamp = (entry.after.get(REVIEWER), entry.after.get(REVIEWED_AT))
            fits = any(s and (s.get(REVIEWER), s.get(REVIEWED_AT)) == stamp for s in seen)
        # A pull that marked the label meanwhile wrote the decision's own stamp: the same.
        if fits:
            found.append(entry)
    return found


def without_undone(entries: Sequence[Entry], is_taken: Callable[[Entry], bool]) -> list[Entry]:
    """Entries without those that were taken back before any pull, and what took them back.

    Args:
        entries: of one sample.
        is_taken: True of an entry that is a decision already; what takes it back then stays.
    """
    back: dict[tuple[ObjectId | None, ObjectId | None], ObjectId] = {
        (e.undoes, e.label_id): e.entry_id for e in entries if e.undoes is not None
    }
    gone: set[ObjectId] = set()
    for entry in entries:
        undo = back.get((entry.group, entry.label_id))
        if undo is not None and not is_taken(entry):
            gone |= {entry.entry_id, undo}
    return [entry for entry in entries if entry.entry_id not in gone]
