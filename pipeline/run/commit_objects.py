"""Commits on an object store: whole objects by one PUT each, the marker by a conditional PUT.

    annotations/<unit>.<attempt>.parquet    one PUT under a name that no other attempt uses
    _commits/<unit>.json                    PUT if-none-match: THE commit, names those objects

Nothing is renamed (a rename is a copy and a delete) and no listing decides what is part of the
run: that are the objects which markers name. Listings save questions in large runs (a thousand
names a request), and show `clean` what to delete.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from pipeline.run.commit_protocol import (
    ANNOTATIONS,
    MARKERS,
    QUARANTINE,
    UnitFile,
    data_path,
    folder_of,
    is_intact,
    marker_path,
)
from pipeline.storage.errors import MissingFile
from pipeline.storage.files import (
    create_bytes,
    join_url,
    list_folder,
    read_bytes,
    remove,
    stat_file,
    write_bytes,
)
from pipeline.storage.folders import remove_other_files
from schemas.plan import CommittedFile, UnitCommit

NUM_THREADS = 32
STOOD_STILL_S = 20.0
LIST_FROM = 1000
"""Objects, from which on a listing is read before any of them is asked for."""


class ObjectCommitter:
    """Commits below a URL.

    Args:
        root: The run's URL.
        folders: Where data is, relative to the root; `""`: in the root itself.
    """

    def __init__(
        self,
        root: str,
        *,
        folders: Sequence[str] = (ANNOTATIONS, QUARANTINE),
    ) -> None:
        self.root = root
        self.folders = folders

    def path_of(self, file: UnitFile, unit_id: str, attempt: str) -> str:
        """`annotations/<unit>.<attempt>.parquet`: an attempt never writes over another one."""
        return data_path(file.folder, f"{unit_id}.{attempt}.parquet")

    def commit(self, commit: UnitCommit, files: Sequence[UnitFile]) -> bool:
        """PUT the data, then the marker if there is none; False where another was first."""
        began = time.monotonic()
        for content, file in zip(files, commit.files, strict=True):
            self._put(file.path, content.data)
        won = self._mark(commit)
        if won and time.monotonic() - began > STOOD_STILL_S:
            # Another driver may have taken this process for dead, and its objects for leftovers.
            for content, file in zip(files, commit.files, strict=True):
                if self._size(file) != file.size:
                    self._put(file.path, content.data)
        if not won:
            for file in commit.files:
                remove(join_url(self.root, file.path))
        return won

    def read_file(self, commit: UnitCommit, file: CommittedFile) -> bytes | None:
        """The object's bytes; None where it is missing or has other content."""
        try:
            data = read_bytes(join_url(self.root, file.path))
        except MissingFile:
            return None
        return data if is_intact(data, file) else None

    def settle(self, commits: Sequence[UnitCommit]) -> list[bool]:
        """Of each, whether all its objects are there, with their sizes; none is ever half done."""
        files = [file for commit in commits for file in commit.files]
        sizes: dict[str, int] = {}
        if len(files) >= LIST_FROM:
            for folder in self.folders:
                sizes |= self._list_sizes(folder)
        # What a listing lacks is asked for: it may be older than the object.
        rest = [file for file in files if sizes.get(file.path) != file.size]
        with ThreadPoolExecutor(NUM_THREADS) as pool:
            sizes.update(zip((file.path for file in rest), pool.map(self._size, rest), strict=True))
        return [all(sizes[file.path] == file.size for file in commit.files) for commit in commits]

    def withdraw(self, commit: UnitCommit) -> None:
        """Delete the marker; the next attempt writes under another name."""
        remove(join_url(self.root, marker_path(commit.unit_id)))

    def markers(self, unit_ids: Sequence[str], known: Iterable[str]) -> dict[str, str | None]:
        """Texts of the markers that are there; known ones are not asked for again."""
        found: dict[str, str | None] = dict.fromkeys(known)
        unknown = [unit_id for unit_id in unit_ids if unit_id not in found]
        if len(unknown) >= LIST_FROM:
            there = self._list_sizes(MARKERS)
            listed = [unit_id for unit_id in unknown if marker_path(unit_id) in there]
            # An old listing does no harm: the unit is done again and loses to its marker. Where
            # few are missing, a run may be at its end, and they are asked for.
            if len(unknown) - len(listed) >= LIST_FROM:
                unknown = listed
        with ThreadPoolExecutor(NUM_THREADS) as pool:
            for unit_id, text in zip(unknown, pool.map(self._marker, unknown), strict=True):
                if text is not None:
                    found[unit_id] = text
        return found

    def clean(self, commits: Iterable[UnitCommit]) -> None:
        """Delete the objects of attempts that lost."""
        named = {file.path for commit in commits for file in commit.files}
        for folder in self.folders:
            keep = {path.rpartition("/")[2] for path in named if folder_of(path) == folder}
            remove_other_files(join_url(self.root, folder), keep, suffix=".parquet")

    def _put(self, path: str, data: bytes) -> None:
        write_bytes(join_url(self.root, path), data)

    def _mark(self, commit: UnitCommit) -> bool:
        url = join_url(self.root, marker_path(commit.unit_id))
        text = commit.to_json().encode()
        # A retried PUT can meet the marker that its own first try has made.
        return create_bytes(url, text) or read_bytes(url) == text

    def _list_sizes(self, folder: str) -> dict[str, int]:
        """Sizes of the objects of a folder, by their path in the run."""
        try:
            files, _ = list_folder(join_url(self.root, folder))
        except MissingFile:
            return {}
        return {data_path(folder, file.uri.rpartition("/")[2]): file.size for file in files}

    def _marker(self, unit_id: str) -> str | None:
        try:
            return read_bytes(join_url(self.root, marker_path(unit_id))).decode(
                "utf-8", "surrogateescape"
            )
        except MissingFile:
            return None

    def _size(self, file: CommittedFile) -> int:
        try:
            return stat_file(join_url(self.root, file.path)).size
        except MissingFile:
            return -1
