"""Committed units in a directory or at a URL: what a run and a layer of it have in common.

Layout and protocol are in the data contract; how one commit is made is in `commit_local.py` and
`commit_objects.py`. Whoever reads sees committed units only, in the order of the plan.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path

from pipeline.run.commit_local import LocalCommitter
from pipeline.run.commit_objects import NUM_THREADS, ObjectCommitter
from pipeline.run.commit_protocol import ANNOTATIONS, MARKERS, QUARANTINE, Committer
from pipeline.run.plan_difference import check_marker
from pipeline.storage.files import exists, is_local, join_url, local_path, read_bytes, write_bytes
from pipeline.storage.inside import require_inside
from schemas.damage import whole
from schemas.errors import ConfigError, DataError
from schemas.plan import CommittedFile, UnitCommit


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """What a start found of earlier drivers."""

    num_committed: int
    withdrawn: tuple[str, ...]
    """Units whose marker stood but whose data was missing or torn: they are done again."""


class CommittedUnits(ABC):
    """Files and commits of one place. Cheap to make; nothing is read before it is asked for.

    Args:
        uri: A directory, or a URL such as s3://bucket/runs/1.
        folders: Where data files are, relative to the place; `""`: in the place itself.
        within: The run that this is a part of; itself where it is empty.
    """

    redo = "run `glipforge label` on it again: the unit is then done again"
    """What a user does about a file that is lost."""

    def __init__(
        self,
        uri: str | PathLike[str],
        *,
        folders: Sequence[str] = (ANNOTATIONS, QUARANTINE),
        within: str = "",
    ) -> None:
        self.uri = fspath(uri)
        if not self.uri.strip() or (self.uri.endswith("/") and self.uri.rstrip("/").endswith(":")):
            raise ConfigError(
                f"run must be a path, or a URL such as s3://bucket/runs/1, got {self.uri!r}"
            )
        self.is_local = is_local(self.uri)
        self.committer: Committer
        if self.is_local:
            self.uri = local_path(self.uri)
            self.committer = LocalCommitter(Path(self.uri), within=Path(within or self.uri))
        else:
            self.uri = self.uri.rstrip("/")
            self.committer = ObjectCommitter(self.uri, folders=folders)
        self.folders = tuple(folders)
        self._within = within or self.uri
        self._commits: dict[str, UnitCommit] = {}

    # --- files -----------------------------------------------------------------------------------

    def url(self, *parts: str) -> str:
        """Address of a file or folder of the run."""
        return join_url(self.uri, *parts)

    def has(self, *parts: str) -> bool:
        """True where the run has this file or folder."""
        return exists(self.url(*parts))

    def read_text(self, *parts: str) -> str:
        """Text of a file of the run.

        Raises:
            MissingFile: there is none.
        """
        data = read_bytes(self.url(*parts))
        with whole(self.url(*parts), "put the file back as it was"):
            return data.decode()

    def writable(self, *parts: str) -> str:
        """As `url`, of a file that is to be written.

        Raises:
            DataError: a link, as a run from others may hold, leads out of the run.
        """
        url = self.url(*parts)
        if is_local(url):
            require_inside(os.path.dirname(url), self._within)
        return url

    def write(self, data: bytes, *parts: str) -> str:
        """Write a file of the run; a reader sees the old one or all of the new one.

        Returns:
            Its address.

        Raises:
            DataError: as `writable`.
        """
        url = self.writable(*parts)
        write_bytes(url, data)
        return url

    def write_text_atomic(self, text: str, *parts: str) -> None:
        """As `write`, of a text.

        File names may be no text: what UTF-8 cannot say is written as JSON writes it.
        """
        self.write(text.encode("utf-8", "backslashreplace"), *parts)

    # --- commits ---------------------------------------------------------------------------------

    def read_markers(self, unit_ids: Sequence[str]) -> dict[str, UnitCommit]:
        """unit_id -> marker of these units, in their order.

        Raises:
            DataError: a marker cannot be read or belongs to another plan.
        """
        texts = self.committer.markers(unit_ids, self._commits)
        found: dict[str, UnitCommit] = {}
        for unit_id in unit_ids:
            if unit_id in texts:
                text = texts[unit_id]
                found[unit_id] = (
                    self._commits[unit_id] if text is None else self._read_marker(unit_id, text)
                )
        self._commits = dict(found)
        return found

    def read_committed(self, commit: UnitCommit, file: CommittedFile) -> bytes:
        """The bytes of one committed file; DataError where it is missing or torn."""
        data = self.committer.read_file(commit, file)
        if data is None:
            raise DataError(
                f"unit {commit.unit_id!r}: {self.url(file.path)} is missing or is not the file "
                f"that was committed ({file.size:,} bytes, sha256 {file.sha256[:12]}); {self.redo} "
                "(with --verify if the size is still right)"
            )
        return data

    def settle(self, commits: Sequence[UnitCommit], *, verify: bool = False) -> list[UnitCommit]:
        """Finish commits that a kill interrupted; returns those whose data is gone.

        Args:
            commits: All of the place.
            verify: Read every file and compare its hash; otherwise sizes are compared.
        """
        verdicts = self.committer.settle(commits)
        if verify:
            with ThreadPoolExecutor(NUM_THREADS) as pool:
                verdicts = list(pool.map(self._is_whole, commits, verdicts))
        return [commit for commit, good in zip(commits, verdicts, strict=True) if not good]

    def withdraw(self, commits: Iterable[UnitCommit]) -> None:
        """Take commits back, so that their units are done again."""
        for commit in commits:
            self.committer.withdraw(commit)
            self._commits.pop(commit.unit_id, None)

    def forget_commits(self) -> None:
        """Read markers anew: others replaced some of them."""
        self._commits.clear()

    @abstractmethod
    def check_plan(self, commit: UnitCommit, *, where: str) -> None:
        """Refuse a marker that belongs to something else.

        Raises:
            DataError: it does.
        """

    def _is_whole(self, commit: UnitCommit, is_settled: bool) -> bool:
        return is_settled and all(
            self.committer.read_file(commit, file) is not None for file in commit.files
        )

    def _read_marker(self, unit_id: str, text: str) -> UnitCommit:
        where = self.url(MARKERS, f"{unit_id}.json")
        with whole(where, f"delete it, then {self.redo}"):
            commit = UnitCommit.from_json(text, where=where)
        check_marker(commit, where=where, folders=self.folders)
        if commit.unit_id != unit_id:
            raise DataError(f"{where} is about unit {commit.unit_id!r}; it was copied here")
        self.check_plan(commit, where=where)
        return commit
