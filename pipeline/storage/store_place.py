"""A file or folder of an object store or an archive, by its fsspec file system."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any, BinaryIO, cast

from fsspec.core import url_to_fs
from fsspec.spec import AbstractFileSystem

from pipeline.storage.hub_files import SCHEME, hub_files
from pipeline.storage.place import Place, join_url
from schemas.errors import ConfigError, MissingDependency
from schemas.plan import InputFile

_S3 = ("s3://", "s3a://")
_PART_BYTES = 4 * 2**20
_TIMES = ("LastModified", "mtime", "modified", "updated", "created")
_VERSIONS = ("ETag", "etag", "mtime", "LastModified", "created", "CRC", "blob_id")


class StorePlace(Place):
    """A key of a store.

    Args:
        creates: The store has a conditional PUT: exclusive creates, on which commits stand.
    """

    def __init__(
        self, url: str, path: str, filesystem: AbstractFileSystem, *, creates: bool = False
    ) -> None:
        super().__init__(url, path)
        self._filesystem = filesystem
        self.creates = creates

    def stat(self) -> InputFile:
        """As `Place.stat`."""
        entry = self._filesystem.info(self.path)
        if entry["type"] != "file":
            raise FileNotFoundError(f"{self.url} is not a file")
        return _input_file(self.url, entry)

    def exists(self) -> bool:
        """As `Place.exists`."""
        return bool(self._filesystem.exists(self.path))

    def is_folder(self) -> bool:
        """As `Place.is_folder`."""
        return bool(self._filesystem.isdir(self.path))

    def read(self, start: int | None, stop: int | None) -> bytes:
        """As `Place.read`."""
        return bytes(self._filesystem.cat_file(self.path, start, stop))

    def open(self) -> BinaryIO:
        """As `Place.open`."""
        return cast("BinaryIO", self._filesystem.open(self.path, "rb"))

    def children(self) -> tuple[list[InputFile], list[str]]:
        """As `Place.children`."""
        entries = self._filesystem.ls(self.path, detail=True)
        entries = sorted(entries, key=lambda entry: str(entry["name"]))
        names = (entry["name"].rstrip("/").rpartition("/")[2] for entry in entries)
        named = [
            (join_url(self.url, name), entry) for name, entry in zip(names, entries, strict=True)
        ]
        files = [_input_file(name, entry) for name, entry in named if entry["type"] == "file"]
        return files, [name for name, entry in named if entry["type"] == "directory"]

    def matches(self) -> list[InputFile]:
        """As `Place.matches`."""
        found = cast("dict[str, dict[str, Any]]", self._filesystem.glob(self.path, detail=True))
        return [
            _input_file(str(self._filesystem.unstrip_protocol(name)), entry)
            for name, entry in sorted(found.items())
            if entry["type"] == "file"
        ]

    def write(self, data: bytes) -> None:
        """As `Place.write`."""
        self._filesystem.pipe_file(self.path, data)

    def create(self, data: bytes) -> bool:
        """As `Place.create`.

        Raises:
            ConfigError: the store has no exclusive create.
        """
        self._require_creates()
        try:
            self._filesystem.pipe_file(self.path, data, mode="create")
        except FileExistsError:
            return False
        return True

    def remove(self) -> None:
        """As `Place.remove`."""
        self._filesystem.rm_file(self.path)

    def times(self) -> dict[str, float]:
        """Names of the files directly in a folder -> when the store says that each was written, in
        seconds; without those of which it does not say it."""
        entries = self._filesystem.ls(self.path, detail=True)
        found = {str(entry["name"]).rpartition("/")[2]: _written_at(entry) for entry in entries}
        return {name: at for name, at in found.items() if at is not None}

    def all_files(self) -> list[str]:
        """Names of the files below a folder, as they go on behind it; sorted. Without the empty
        objects that a store's console makes for folders."""
        base = self.path.rstrip("/") + "/"
        found = (str(name) for name in self._filesystem.find(self.path))
        return sorted(
            name.removeprefix(base)
            for name in found
            if name.startswith(base) and not name.endswith("/")
        )

    def put(self, local: str, path: str) -> None:
        """Send a file of this machine to a path of the store."""
        self._filesystem.put_file(local, path)

    def put_new(self, local: str, path: str) -> bool:
        """As `put`, only where none is there; False where another file is. Our own, of which the
        answer was lost, is not another.

        Raises:
            ConfigError: the store has no exclusive create.
        """
        self._require_creates()
        try:
            self._filesystem.put_file(local, path, mode="create")
        except FileExistsError:
            return self._is_equal(local, path)
        return True

    def _is_equal(self, local: str, path: str) -> bool:
        if self._filesystem.info(path)["size"] != os.path.getsize(local):
            return False
        with open(local, "rb") as ours, self._filesystem.open(path, "rb") as theirs:
            while part := ours.read(_PART_BYTES):
                if theirs.read(len(part)) != part:
                    return False
        return True

    def _require_creates(self) -> None:
        if not self.creates:
            raise ConfigError(
                f"{self.url}: runs can be written to local paths and s3:// stores; "
                f"{self.url.partition('://')[0]} has no exclusive create here"
            )


def store_place(url: str) -> StorePlace:
    """What is at the URL of a store.

    Raises:
        ConfigError: the scheme is not known.
        MissingDependency: the scheme needs a package that is not installed.
    """
    if url.startswith(_S3):
        # Ours, and nobody else's s3 of this process: fsspec's table is left alone.
        from pipeline.storage.s3_filesystem import S3FileSystem

        store = S3FileSystem()
        return StorePlace(url, str(store._strip_protocol(url)), store, creates=True)
    if url.startswith(SCHEME):
        hub, path = hub_files(url)
        return StorePlace(url, path, hub)
    try:
        filesystem, path = url_to_fs(url)
    except ImportError as error:
        raise MissingDependency(f"{url}: {error}") from error
    except ValueError as error:
        raise ConfigError(
            f"{url!r}: {error}; give a path, or a URL such as s3://bucket/key"
        ) from error
    return StorePlace(url, path, filesystem)


def _input_file(url: str, entry: dict[str, Any]) -> InputFile:
    tag = next((entry[key] for key in _VERSIONS if entry.get(key)), "")
    return InputFile(uri=url, size=int(entry["size"] or 0), etag=str(tag).strip('"'))


def _written_at(entry: dict[str, Any]) -> float | None:
    at = next((entry[key] for key in _TIMES if entry.get(key)), None)
    if isinstance(at, datetime):
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    return float(at) if isinstance(at, int | float) else None
