"""Writes to the samples of a review dataset: label by label, compared and set, journalled, durable.

Every write names labels by id. It goes through only if the label list is exactly what was read,
so that two writers never undo each other. Beside it are kept: the labels as they were under the
version before, against which a browser's later edit is understood, and a journal of who changed
what and when, from which `undo` works and `pull` names authors.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from bson import ObjectId
from pymongo import ReplaceOne, WriteConcern
from pymongo.collection import Collection

from pipeline.curation.box_state import Review
from pipeline.review.home import reviewer_name
from pipeline.review.sync.label.documents import BOXES
from pipeline.review.sync.label.notes import LEVEL, SHOWN
from pipeline.review.sync.label.seen import labels_of
from pipeline.review.sync.label.stamp import REVIEWED_AT, REVIEWER, timestamp
from pipeline.review.sync.store.journal import journal_entries
from schemas.errors import GlipforgeError

VERSIONS = "glipforge.versions"
VERSIONS_KEPT_S = 7 * 24 * 3600
"""A page that was opened longer ago than this must be opened again before it can save."""
TRIES = 5

Label = dict[str, Any]
Fields = Mapping[str, Any]
"""Top-level fields of a sample and their new values; the labels are under `boxes`."""


class WriteRefused(GlipforgeError):
    """A change that would touch what its author did not see. Nothing was written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What a write did to one sample."""

    sample_id: ObjectId
    before: Mapping[str, Any]
    """The whole sample as it was."""
    after: Mapping[str, Any]
    changed: tuple[ObjectId, ...]
    """Labels that were changed, added or removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a writer wants of a sample that it was shown."""

    labels: Sequence[Label] | None = None
    """The whole new label list; None leaves it."""
    fields: Fields = field(default_factory=dict)
    """Other fields of the sample."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """What a page was given."""

    labels: Sequence[Label]
    carried: Mapping[ObjectId, str] = field(default_factory=dict)
    """Drawn labels -> the text that the page gave them by itself, from the box before; it sends
    it once more."""


def version_key(moment: datetime) -> str:
    """The name of a version of a sample: its `last_modified_at`, as FiftyOne's page sends it."""
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds")


def keyed_labels(labels: Iterable[Label]) -> dict[ObjectId, Label]:
    """Labels by id, in order; one without an id, or with another's, is under a new key."""
    out: dict[ObjectId, Label] = {}
    for label in labels:
        key = label.get("_id")
        out[key if isinstance(key, ObjectId) and key not in out else ObjectId()] = label
    return out


class LabelStore:
    """The samples of one dataset, written in the name of one reviewer."""

    def __init__(self, samples: Collection[Any], *, reviewer: str | None = None) -> None:
        """Wrap a sample collection.

        Args:
            samples: the collection of a dataset.
            reviewer: who writes; the process's own (`home.reviewer_name`) if None.
        """
        # Journalled: what the app shows as saved survives a kill of the database.
        durable = WriteConcern(w=1, j=True)
        self.samples = samples.with_options(write_concern=durable)
        self.reviewer = reviewer_name(reviewer)
        self._durable = durable
        self._versions: Collection[Any] = samples.database[VERSIONS]
        _make_indexes(samples.database.client, samples.database.name)

    def journal(self, dataset_id: ObjectId) -> Collection[Any]:
        """The journal of a dataset: an entry for each label, or for the sample's own fields."""
        entries = journal_entries(self.samples.database, dataset_id)
        return entries.with_options(write_concern=self._durable)

    def document(self, sample_id: ObjectId) -> dict[str, Any]:
        """A sample as it is now.

        Raises:
            WriteRefused: it is not there any more.
        """
        found = self.samples.find_one({"_id": sample_id})
        if found is None:
            raise WriteRefused("this image is no longer in the dataset; go back to the grid")
        return dict(found)

    def version(self, sample_id: ObjectId, key: str) -> Version | None:
        """What a page got under a version; None where that version is not known."""
        row = self._versions.find_one({"_id": f"{sample_id}:{key}"})
        if row is None:
            return None
        carried = {ObjectId(label_id): text for label_id, text in row["carried"].items()}
        return Version(labels=list(row["labels"]), carried=carried)

    def remember(self, sample_id: ObjectId, key: str, version: Version) -> None:
        """Keep a version, so that an edit that starts from it can be understood."""
        row = _version_row(sample_id, key, version)
        self._versions.replace_one({"_id": row["_id"]}, row, upsert=True)

    def rewrite(
        self,
        sample_id: ObjectId,
        change: Callable[[dict[str, Any]], Wanted],
        *,
        action: str,
        group: ObjectId | None = None,
        undoes: ObjectId | None = None,
        now: datetime | None = None,
    ) -> Written:
        """Change one sample, starting from what it is at the moment of writing.

        Args:
            sample_id: the sample.
            change: gets a copy of the sample, returns what is wanted; called again where somebody
                else was faster. It may raise `WriteRefused`.
            action: one word for the journal.
            group: joins the samples of one click; a new one if None.
            undoes: the group that this write takes back; labels then come with the stamps that
                they had, and get none.
            now: the clock if None.

        Raises:
            WriteRefused: from `change`, or the sample is gone, or others write without a pause.
        """
        for _ in range(TRIES):
            before = self.document(sample_id)
            moment = _next_moment(before, now or datetime.now(UTC))
            wanted = change(copy.deepcopy(before))
            after, touched = self._stamped(before, wanted, moment, is_own=undoes is None)
            if touched is None:
                return Written(sample_id=sample_id, before=before, after=before, changed=())
            click = {
                "action": action,
                "group": group or ObjectId(),
                "undoes": undoes,
                "sample_id": sample_id,
                "reviewer": self.reviewer,
                "at": timestamp(moment),
                "taken": False,
            }
            entries = [{**click, **entry} for entry in _entries(before, after, touched)]
            journal = self.journal(before["_dataset_id"])
            key = version_key(before["last_modified_at"])
            self.remember(sample_id, key, Version(labels=labels_of(before)))
            # First: an entry without its write is harmless, a write without its entry is not.
            journal.insert_many(entries)
            match = {
                "_id": sample_id,
                "last_modified_at": before["last_modified_at"],
                BOXES: before.get(BOXES),
            }
            values = {key: after[key] for key in after if after[key] != before.get(key)}
            done = self.samples.update_one(match, {"$set": values})
            if done.matched_count:
                return Written(
                    sample_id=sample_id, before=before, after=after, changed=tuple(touched)
                )
            journal.delete_many({"_id": {"$in": [entry["_id"] for entry in entries]}})
        raise WriteRefused("others are writing to this image without a pause; try again")

    def _stamped(
        self, before: Mapping[str, Any], wanted: Wanted, moment: datetime, *, is_own: bool
    ) -> tuple[dict[str, Any], list[ObjectId] | None]:
        """The new sample with reviewer and time on each changed label; None: nothing changes."""
        after = {**before, **wanted.fields}
        touched: list[ObjectId] = []
        if wanted.labels is not None:
            old = keyed_labels(labels_of(before))
            new = keyed_labels([dict(label) for label in wanted.labels])
            labels = list(new.values())
            for key, label in new.items():
                if label == old.pop(key, None):
                    continue
                touched.append(key)
                if is_own:
                    label[REVIEWER] = self.reviewer
                    label[REVIEWED_AT] = timestamp(moment)
                    if (label.get("review") or Review.PENDING) != Review.PENDING:
                        label[LEVEL] = SHOWN  # what people judged is never behind the slider
            touched += list(old)
            if touched:
                after[BOXES] = {
                    **(before.get(BOXES) or {"_cls": "Detections"}),
                    "detections": labels,
                }
        if after == before:
            return dict(before), None
        after["last_modified_at"] = moment.replace(tzinfo=None)
        return after, touched


def remember_samples(samples: Collection[Any], documents: Iterable[Mapping[str, Any]]) -> None:
    """Keep the versions of samples that are going to be replaced whole, in one write.

    Args:
        samples: the collection of their dataset.
        documents: the samples as they are before.
    """
    rows = [
        _version_row(raw["_id"], version_key(moment), Version(labels=labels_of(raw)))
        for raw in documents
        if isinstance(moment := raw.get("last_modified_at"), datetime)  # else no page can save it
    ]
    if rows:
        _make_indexes(samples.database.client, samples.database.name)
        writes = [ReplaceOne({"_id": row["_id"]}, row, upsert=True) for row in rows]
        samples.database[VERSIONS].bulk_write(writes, ordered=False)


def _version_row(sample_id: ObjectId, key: str, version: Version) -> dict[str, Any]:
    return {
        "_id": f"{sample_id}:{key}",
        "at": datetime.now(UTC),
        "labels": list(version.labels),
        "carried": {str(label_id): text for label_id, text in version.carried.items()},
    }


def _entries(
    before: Mapping[str, Any], after: Mapping[str, Any], touched: Sequence[ObjectId]
) -> list[dict[str, Any]]:
    """What was there and what is: one entry a label, and one for the sample's own fields."""
    old, new = keyed_labels(labels_of(before)), keyed_labels(labels_of(after))
    entries = [
        {"_id": ObjectId(), "label_id": key, "before": old.get(key), "after": new.get(key)}
        for key in touched
    ]
    names = [
        name
        for name in after
        if name not in (BOXES, "last_modified_at") and after[name] != before.get(name)
    ]
    if names:
        fields = [{name: source.get(name) for name in names} for source in (before, after)]
        entries.append(
            {"_id": ObjectId(), "label_id": None, "before": fields[0], "after": fields[1]}
        )
    return entries


def _next_moment(before: Mapping[str, Any], now: datetime) -> datetime:
    """Now in MongoDB's milliseconds, but later than the version before: versions have one name."""
    moment = now.astimezone(UTC)
    moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    last: datetime = before["last_modified_at"].replace(tzinfo=UTC)
    return max(moment, last + timedelta(milliseconds=1))


@lru_cache(maxsize=8)
def _make_indexes(client: Any, database: str) -> None:
    client[database][VERSIONS].create_index("at", expireAfterSeconds=VERSIONS_KEPT_S)
