"""FiftyOne's documents in MongoDB, read and written directly.

FiftyOne's own objects are 60 times slower to make and 50 times slower to read. The layout used
here is that of FiftyOne 1.22: one document per dataset in `datasets`, which names the collection
of its samples. The integration tests hold it against FiftyOne's own reading.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bson import ObjectId
from pymongo import MongoClient, UpdateOne
from pymongo.collection import Collection
from pymongo.errors import ConnectionFailure, PyMongoError

from pipeline.review.database.errors import DatabaseLost
from schemas.errors import ConfigError

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class StoredDataset:
    """A dataset's samples, without FiftyOne."""

    name: str
    dataset_id: ObjectId
    info: Mapping[str, Any]
    samples: Collection[Document]

    def sample_ids(self) -> set[ObjectId]:
        """The ids of all samples."""
        return {entry["_id"] for entry in self.samples.find({}, {"_id": 1})}

    def documents(self, ids: Iterable[ObjectId]) -> dict[ObjectId, Document]:
        """The samples with these ids, whole."""
        found = self.samples.find({"_id": {"$in": list(ids)}}, batch_size=1000)
        return {document["_id"]: document for document in found}

    def set_fields(self, changes: Mapping[ObjectId, Mapping[str, object]]) -> None:
        """Set fields of samples, each by its path in the document."""
        updates = [UpdateOne({"_id": key}, {"$set": dict(new)}) for key, new in changes.items()]
        if updates:
            self.samples.bulk_write(updates)


@contextmanager
def open_store(uri: str, database: str) -> Iterator[Any]:
    """A connection to MongoDB for the length of a `with` block.

    Raises:
        ConfigError: nothing answers at `uri`, or it is not a MongoDB address.
        DatabaseLost: the server went away inside the block.
    """
    try:
        client: MongoClient[Document] = MongoClient(uri)
    except (PyMongoError, ValueError) as error:
        raise ConfigError(f"FIFTYONE_DATABASE_URI={uri!r} cannot be used: {error}") from error
    with client:
        try:
            client.admin.command("ping")
        except PyMongoError as error:
            raise ConfigError(f"no MongoDB server answers at {uri!r}: {error}") from error
        try:
            yield client[database]
        except ConnectionFailure as error:
            raise DatabaseLost(
                "the review database went away (its server was ended, or the connection broke); "
                "what was saved before is on its disk, and the same command goes on from there"
            ) from error


def find_dataset(database: Any, name: str) -> StoredDataset | None:
    """The dataset of that name; None where there is none."""
    entry = database["datasets"].find_one({"name": name})
    if entry is None:
        return None
    return StoredDataset(
        name=name,
        dataset_id=entry["_id"],
        info=entry.get("info") or {},
        samples=database[entry["sample_collection_name"]],
    )


def get_dataset(database: Any, name: str) -> StoredDataset:
    """The dataset of that name.

    Raises:
        ConfigError: there is none; names those that there are.
    """
    found = find_dataset(database, name)
    if found is None:
        names = ", ".join(dataset_names(database)) or "none"
        raise ConfigError(
            f"there is no dataset {name!r} in the review database (there are: {names})"
        )
    return found


def dataset_names(database: Any) -> list[str]:
    """Every dataset's name, sorted."""
    return sorted(entry["name"] for entry in database["datasets"].find({}, {"name": 1}))
