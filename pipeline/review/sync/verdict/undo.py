"""Taking back a last click by the journal, only where nobody changed or judged the box since.

A label is then as it was, with the reviewer and time that it had: what others said is theirs again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bson import ObjectId

from pipeline.curation.box_state import Review
from pipeline.review.sync.label.notes import LEVEL
from pipeline.review.sync.label.seen import PLACE, is_same_place, labels_of
from pipeline.review.sync.label.stamp import PAIR_REVIEWED_AT, REVIEWED_AT, REVIEWER
from pipeline.review.sync.store.journal import journal_entries
from pipeline.review.sync.store.label_store import (
    Label,
    LabelStore,
    Wanted,
    WriteRefused,
    Written,
    keyed_labels,
)

UNDO = "undo"
_SAID = frozenset({"review", "label", "phrase_index", PLACE, REVIEWER})
_TAKEN_BY_PULL = frozenset({"decision_id", "box_id"})
_BY_PULL_AND_PUSH = _TAKEN_BY_PULL | {REVIEWED_AT, LEVEL}
"""A pull marks the label with its decision's time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Undone:
    """What was taken back."""

    action: str
    """The word of the journal, such as `accept`."""
    written: tuple[Written, ...]


def undo_last(store: LabelStore, dataset_id: ObjectId) -> Undone:
    """Take back the last click of the store's reviewer that still stands.

    A click may have changed boxes of several images; an undo is a click of its own and is not
    undone by the next one.

    Raises:
        WriteRefused: there is none, or somebody changed one of its boxes since: then nothing is
            taken back on that image.
    """
    journal = journal_entries(store.samples.database, dataset_id)
    gone = set(journal.distinct("undoes", {"reviewer": store.reviewer, "undoes": {"$ne": None}}))
    last = journal.find_one(
        {"reviewer": store.reviewer, "undoes": None, "group": {"$nin": list(gone)}},
        sort=[("at", -1), ("_id", -1)],
    )
    if last is None:
        raise WriteRefused("there is nothing of yours to take back")
    return undo_click(store, dataset_id, last["group"])


def undo_click(store: LabelStore, dataset_id: ObjectId, group: ObjectId) -> Undone:
    """Take back one click of the store's reviewer, whatever came after it.

    Raises:
        WriteRefused: as `undo_last`, or it is somebody else's, or taken back already.
    """
    journal = journal_entries(store.samples.database, dataset_id)
    own = journal.find_one({"group": group, "reviewer": store.reviewer, "undoes": None})
    if own is None:
        raise WriteRefused(f"{group} is not a change of {store.reviewer}'s")
    if journal.find_one({"undoes": group}) is not None:
        raise WriteRefused("that change was taken back already")
    by_sample: dict[ObjectId, list[dict[str, Any]]] = {}
    for entry in journal.find({"group": group}):
        by_sample.setdefault(entry["sample_id"], []).append(entry)
    written = []
    for sample_id, entries in by_sample.items():

        def change(document: dict[str, Any], entries: list[Any] = entries) -> Wanted:
            return _before(document, entries)

        written.append(
            store.rewrite(sample_id, change, action=UNDO, group=ObjectId(), undoes=group)
        )
    return Undone(action=str(own["action"]), written=tuple(written))


def _before(document: dict[str, Any], entries: list[dict[str, Any]]) -> Wanted:
    labels = keyed_labels(labels_of(document))
    fields: dict[str, Any] = {}
    for entry in entries:
        before, after, key = entry.get("before"), entry.get("after"), entry.get("label_id")
        if key is None:
            for name, value in (after or {}).items():
                if name != PAIR_REVIEWED_AT and document.get(name) != value:
                    raise WriteRefused(f"{name} was changed since; nothing was taken back")
                fields[name] = (before or {}).get(name)
            continue
        if after is None and _is_rejected(labels.get(key), by=entry["reviewer"]):
            labels.pop(key)  # a push showed the deleted box again, as the decision that it became
        _check_unchanged(labels.get(key), before or {}, after)
        if before is None:
            labels.pop(key, None)
        elif after is None:
            labels[key] = dict(before)
        else:
            labels[key] = _restored(labels[key], before, after)
    return Wanted(labels=list(labels.values()), fields=fields)


def _check_unchanged(
    now: Label | None, before: Mapping[str, Any], after: Mapping[str, Any] | None
) -> None:
    """Refuse where the box says something else than the click made of it.

    What a push notes beside it (queue, policy) plays no part.
    """
    there, then = now or {}, after or {}
    changed = {name for name in {*before, *then} if before.get(name) != then.get(name)}
    other = {
        name
        for name in (changed - _BY_PULL_AND_PUSH) | _SAID
        if not _is_same(name, there.get(name), then.get(name))
    }
    if (now is None) != (after is None) or (other and after is not None):
        who = there.get(REVIEWER) or "somebody"
        did = "judged" if other == {REVIEWER} else "changed"
        raise WriteRefused(f"{who} {did} the same box since; nothing was taken back")


def _is_rejected(label: Label | None, *, by: str) -> bool:
    return label is not None and (label.get("review"), label.get(REVIEWER)) == (
        str(Review.REJECTED),
        by,
    )


def _is_same(name: str, now: Any, then: Any) -> bool:
    # A pull writes a box that was moved to the teacher's own place as accepted.
    words = {str(Review.FIXED), str(Review.ACCEPTED)}
    return (
        now == then
        or (name == PLACE and is_same_place(now, then))
        or (name == "review" and {now, then} == words)
    )


def _restored(now: Label, before: Mapping[str, Any], after: Mapping[str, Any]) -> Label:
    """The label with what the click changed as it was; what else it holds stays."""
    restored = dict(now)
    for name in {*before, *after} - _TAKEN_BY_PULL:
        if before.get(name) == after.get(name):
            continue
        if name in before:
            restored[name] = before[name]
        else:
            restored.pop(name, None)
    return restored
