"""Commits on an object store: whole objects by one PUT each, the marker by a conditional PUT.

    annotations/<unit>.<attempt>.parquet    one PUT under a name that no other attempt uses
    _commits/<unit>.json                    PUT if-none-match: THE commit, names those objects

Nothing is renamed (a rename is a copy and a delete) and nothing is listed to find data: an object
that no marker names is not part of the run. `clean` lists once, to delete such leftovers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from pipeline.commit_files import ANNOTATIONS, QUARANTINE, UnitFile, is_intact, marker_path
from pipeline.layer_files import remove_other_files
from pipeline.storage import create_bytes, join_url, read_bytes, remove, stat_file, write_bytes
from pipeline.storage_errors import MissingFile
from schemas.plan import CommittedFile, UnitCommit

NUM_THREADS = 32


class ObjectCommitter:
    """Commits below a URL.

    Args:
        root: The run's URL.
        step: Called with the name of each step before it is done; tests die here.
    """

    def __init__(self, root: str, *, step: Callable[[str], object] = lambda name: None) -> None:
        self.root = root
        self.step = step

    def path_of(self, file: UnitFile, unit_id: str, attempt: str) -> str:
        """`annotations/<unit>.<attempt>.parquet`: an attempt never writes over another one."""
        return f"{file.folder}/{unit_id}.{attempt}.parquet"

    def commit(self, commit: UnitCommit, files: Sequence[UnitFile]) -> bool:
        """PUT the data, then the marker if there is none; False where another was first."""
        for content, file in zip(files, commit.files, strict=True):
            self.step(f"stage {content.folder}")
            write_bytes(join_url(self.root, file.path), content.data)
        self.step("mark")
        url = join_url(self.root, marker_path(commit.unit_id))
        text = commit.to_json().encode()
        # A retried PUT can meet the marker that its own first try has made.
        won = create_bytes(url, text) or read_bytes(url) == text
        self.step("unstage")
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

    def settle(self, commit: UnitCommit) -> bool:
        """Nothing is ever left half done; False where an object is missing or has another size."""
        return all(self._size(file) == file.size for file in commit.files)

    def withdraw(self, commit: UnitCommit) -> None:
        """Delete the marker; the next attempt writes under another name."""
        remove(join_url(self.root, marker_path(commit.unit_id)))

    def markers(self, unit_ids: Sequence[str], known: Iterable[str]) -> dict[str, str | None]:
        """Texts of the markers that are there; known ones are not asked for again."""
        found: dict[str, str | None] = dict.fromkeys(known)
        unknown = [unit_id for unit_id in unit_ids if unit_id not in found]
        with ThreadPoolExecutor(NUM_THREADS) as pool:
            for unit_id, text in zip(unknown, pool.map(self._marker, unknown), strict=True):
                if text is not None:
                    found[unit_id] = text
        return found

    def clean(self, commits: Iterable[UnitCommit]) -> None:
        """Delete the objects of attempts that lost."""
        named = {file.path for commit in commits for file in commit.files}
        for folder in (ANNOTATIONS, QUARANTINE):
            keep = {path.rpartition("/")[2] for path in named if path.startswith(f"{folder}/")}
            remove_other_files(join_url(self.root, folder), keep, suffix=".parquet")

    def _marker(self, unit_id: str) -> str | None:
        try:
            return read_bytes(join_url(self.root, marker_path(unit_id))).decode()
        except MissingFile:
            return None

    def _size(self, file: CommittedFile) -> int:
        try:
            return stat_file(join_url(self.root, file.path)).size
        except MissingFile:
            return -1
