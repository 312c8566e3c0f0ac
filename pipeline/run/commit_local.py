"""Commits on a file system: stage, fsync, hard-link the marker, publish by rename.

    _staging/<unit>.<attempt>.annotations.parquet    written and synced; no reader looks here
    _commits/<unit>.json                             exclusive, by a hard link; this is THE commit
    annotations/<unit>.parquet                       os.replace from staging; may be repeated

A killed writer leaves staged files, with or without a marker. With one, `settle` publishes them.
Without one they stay: their writer may still be alive and about to create its marker, which
would then vouch for nothing. Only `clean` removes them, when every unit has its marker.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from pipeline.run.commit_protocol import (
    MARKERS,
    UnitFile,
    data_path,
    folder_of,
    is_intact,
    marker_path,
)
from pipeline.storage.errors import WRITES_NOTHING, StorageFull
from pipeline.storage.exclusive import place_exclusively
from pipeline.storage.inside import require_inside
from pipeline.storage.local_place import refuse_special
from schemas.atomic import sync_folder, write_synced
from schemas.errors import UnitError, os_sentence, reason_of
from schemas.plan import CommittedFile, UnitCommit

STAGING = "_staging"


class LocalCommitter:
    """Commits below a directory.

    Args:
        root: The run directory, or that of a layer.
        within: The run; nothing is written or deleted through a link that leads out of it.
    """

    def __init__(self, root: Path, *, within: Path | None = None) -> None:
        self.root = root
        self.within = within or root

    def path_of(self, file: UnitFile, unit_id: str, attempt: str) -> str:
        """`annotations/<unit>.parquet`, whichever attempt wins."""
        return data_path(file.folder, f"{unit_id}.parquet")

    def commit(self, commit: UnitCommit, files: Sequence[UnitFile]) -> bool:
        """Stage, mark, publish; False where another attempt was first.

        Raises:
            StorageFull: the disk is full or read-only; nothing of the unit is left on it.
        """
        staged_marker = self.root / STAGING / f"{commit.unit_id}.{commit.attempt}.json"
        staged = [self._staged(commit, file) for file in commit.files]
        require_inside(self.root / STAGING, self.within)
        try:
            for content, path in zip(files, staged, strict=True):
                self._stage(path, content.data)
            self._stage(staged_marker, commit.to_json().encode())
            sync_folder(self.root / STAGING)
        except OSError as error:
            if error.errno not in WRITES_NOTHING:
                raise
            for path in (*staged, staged_marker):
                with contextlib.suppress(OSError):
                    path.unlink()
            raise StorageFull(
                f"{os_sentence(error, f'out {str(self.root)!r}')}. What is committed is safe"
            ) from error
        won = self._link_marker(staged_marker, commit.unit_id)
        if won:
            self._publish(commit)
        else:
            for path in staged:
                path.unlink(missing_ok=True)
        staged_marker.unlink(missing_ok=True)
        return won

    def read_file(self, commit: UnitCommit, file: CommittedFile) -> bytes | None:
        """The published bytes, or the staged ones of a commit that is being published."""
        final, staged = self.root / file.path, self._staged(commit, file)
        for path in (final, staged, final):
            with contextlib.suppress(FileNotFoundError):
                refuse_special(path)
                data = path.read_bytes()
                if is_intact(data, file):
                    return data
        return None

    def settle(self, commits: Sequence[UnitCommit]) -> list[bool]:
        """Publish what is still staged; False where a file is missing or has another size."""
        return [self._settle(commit) for commit in commits]

    def withdraw(self, commit: UnitCommit) -> None:
        """Remove the data first: a marker without data is found again, data without one is not."""
        for file in commit.files:
            path = self.root / file.path
            require_inside(path.parent, self.within)
            path.unlink(missing_ok=True)
        marker = self.root / marker_path(commit.unit_id)
        require_inside(marker.parent, self.within)
        marker.unlink(missing_ok=True)

    def markers(self, unit_ids: Sequence[str], known: Iterable[str]) -> dict[str, str | None]:
        """Texts of the markers that are there, None for known ones."""
        try:
            names = {entry.name for entry in os.scandir(self.root / MARKERS)}
        except FileNotFoundError:
            return {}
        skip = set(known)
        found: dict[str, str | None] = {}
        for unit_id in unit_ids:
            if f"{unit_id}.json" in names:
                path = self.root / marker_path(unit_id)
                found[unit_id] = None if unit_id in skip else _text(path)
        return found

    def clean(self, commits: Iterable[UnitCommit]) -> None:
        """Empty the staging folder, when every unit has its marker: publish what a killed winner
        left there, remove what losers left."""
        require_inside(self.root / STAGING, self.within)
        with contextlib.suppress(FileNotFoundError):
            staged = {entry.name for entry in os.scandir(self.root / STAGING)}
            for commit in commits if staged else ():
                if any(self._staged(commit, file).name in staged for file in commit.files):
                    self._publish(commit)
            for name in staged:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self.root / STAGING / name)
            with contextlib.suppress(OSError):
                os.rmdir(self.root / STAGING)

    # --- parts ---------------------------------------------------------------------------------

    def _staged(self, commit: UnitCommit, file: CommittedFile) -> Path:
        kind = folder_of(file.path) or "rows"
        return self.root / STAGING / f"{commit.unit_id}.{commit.attempt}.{kind}.parquet"

    def _stage(self, path: Path, data: bytes) -> None:
        write_synced(path, data)

    def _settle(self, commit: UnitCommit) -> bool:
        # Nearly all are published already: one look at each file then, not three.
        if not self._is_published(commit):
            self._publish(commit)
        return self._is_published(commit)

    def _is_published(self, commit: UnitCommit) -> bool:
        return all(_size(self.root / file.path) == file.size for file in commit.files)

    def _link_marker(self, staged: Path, unit_id: str) -> bool:
        final = self.root / marker_path(unit_id)
        require_inside(final.parent, self.within)
        final.parent.mkdir(parents=True, exist_ok=True)
        if not place_exclusively(staged, final):
            return False
        sync_folder(final.parent)
        return True

    def _publish(self, commit: UnitCommit) -> None:
        require_inside(self.root / STAGING, self.within)
        for file in commit.files:
            staged, final = self._staged(commit, file), self.root / file.path
            require_inside(final.parent, self.within)
            final.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.replace(staged, final)
            except FileNotFoundError:
                continue  # published before, by us or by a recovery; `settle` checks
            except OSError as error:
                raise UnitError(
                    f"{commit.unit_id}: cannot publish {final}: {reason_of(error)}"
                ) from error
            sync_folder(final.parent)


def _text(path: Path) -> str:
    refuse_special(path)
    # What is not UTF-8 is damage, which reading the marker names.
    return path.read_text(encoding="utf-8", errors="surrogateescape")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return -1
