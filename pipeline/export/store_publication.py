"""An export in an object store: one at a time at one place, and never two of them mixed.

Nothing there renames a folder. An export therefore holds a lock for as long as it works, creates
each file only where none is unless it may replace them, and ends with what says that it is whole.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.run.lock import BEAT_S, STALE_S
from pipeline.run.lock_holder import who
from pipeline.run.object_lock import HeldObject, object_lock
from pipeline.storage.files import create_bytes, join_url, remove, write_bytes
from pipeline.storage.probe import creates_exclusively
from pipeline.storage.store_place import StorePlace
from schemas.errors import ConfigError

MARK = ".glipforge-export.json"
"""In a folder that an export made; such a folder may be replaced as a whole."""
_LOCK = ".export-{}.lock"
_log = logging.getLogger(__name__)


class StorePublication:
    """An export's way to one place of a store: held from `held`, filled by `send`.

    Args:
        place: Where `out` is.
        out: The file to write, or the folder.
        is_folder: Which of both.
        force: Replace what an earlier export wrote there.
    """

    def __init__(self, place: StorePlace, out: str, *, is_folder: bool, force: bool) -> None:
        self._place = place
        self._out = out.rstrip("/") if is_folder else out
        self._is_folder = is_folder
        self._force = force
        self._lock: HeldObject | None = None
        """None where the store has nothing that can be one."""

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the place while in the block.

        Raises:
            ConfigError: another export is at work there, or a folder is there that no export made,
                or that may not be replaced.
            LockLost: this process stood still, and another took the place.
        """
        with self._locked() as self._lock:
            if self._is_folder:
                self._names_there()
            yield

    def send(self, stage: Path, files: Sequence[Path]) -> None:
        """Bring the files of a staging folder to their places, while these are held.

        Raises:
            ConfigError: another export's files are there, and this one may not replace them.
            LockLost: as `held`.
        """
        if self._lock is not None:
            self._lock.look()
        names = sorted(path.relative_to(stage).as_posix() for path in files)
        if self._is_folder:
            self._send_folder(stage, names)
            return
        # A file's export ends with the file that it is named for.
        names.sort(key=lambda name: name == self._out.rpartition("/")[2])
        self._send(stage, names, os.path.dirname(self._place.path))

    @contextmanager
    def _locked(self) -> Iterator[HeldObject | None]:
        out = self._out
        parent, _, name = out.rpartition("/")
        if "/" not in self._place.path:  # the root of a bucket
            parent, name = out, ""
        if not (self._place.creates and creates_exclusively(parent)):
            _log.warning(
                "%s: this store has no exclusive create; let one export at a time write", out
            )
            yield None
            return

        def held(holder: dict[str, Any]) -> str:
            return (
                f"{out} is being written by another export ({who(holder)}); wait for "
                "it, or give another --out"
            )

        def taken(holder: dict[str, Any]) -> str:
            return (
                f"another export took {out} while this one stood still ({who(holder)}): this one "
                "stops. Where both had --force, export once more"
            )

        url = join_url(parent, _LOCK.format(name))
        with object_lock(url, out, held=held, taken=taken, beat_s=BEAT_S, stale_s=STALE_S) as lock:
            yield lock

    def _send_folder(self, stage: Path, names: Sequence[str]) -> None:
        """The mark is created first, which claims the folder; written last, it counts the files."""
        before = self._names_there()
        mark = join_url(self._out, MARK)
        is_claimed = self._lock is not None and not before
        if is_claimed and not create_bytes(mark, json.dumps({"files": 0}).encode()):
            raise ConfigError(written_meanwhile(self._out))
        try:
            self._send(stage, names, self._place.path)
        except BaseException:
            if is_claimed:
                self._remove_ours([mark])
            raise
        for name in sorted(set(before) - {*names, MARK}):
            self._require_held()
            remove(join_url(self._out, name))
        self._require_held()
        write_bytes(mark, json.dumps({"files": len(names)}).encode() + b"\n")

    def _send(self, stage: Path, names: Sequence[str], base: str) -> None:
        """All files to below `base`, or none of them where another export's are there."""
        sent: list[str] = []
        try:
            for name in names:
                self._require_held()
                local, path = str(stage / name), f"{base}/{name}"
                if self._force or self._lock is None:
                    self._place.put(local, path)
                elif self._place.put_new(local, path):
                    sent.append(path)
                else:
                    raise ConfigError(written_meanwhile(f"{self._out}: {name}"))
            self._require_held()
        except BaseException:
            scheme = self._place.url.partition("://")[0]
            self._remove_ours([f"{scheme}://{path}" for path in sent])
            raise

    def _require_held(self) -> None:
        if self._lock is not None:
            self._lock()

    def _remove_ours(self, urls: Sequence[str]) -> None:
        """Files of a failed export; where another took the place they may be that one's by now."""
        with contextlib.suppress(Exception):  # it must not hide what ended the export
            if self._lock is not None:
                self._lock.look()
            for url in urls:
                remove(url)

    def _names_there(self) -> list[str]:
        """Names of the files that are there; an error where they may not be replaced."""
        names = [name for name in self._place.all_files() if name != _LOCK.format("")]
        require_replaceable(self._out, names, force=self._force)
        return names


def require_replaceable(out: str, names: Collection[str], *, force: bool) -> None:
    """Pass where a folder is empty, or an export made it and it may be replaced.

    Args:
        out: The folder as it was given.
        names: Of what is in it.
        force: It may be replaced.

    Raises:
        ConfigError: it may not.
    """
    if names and MARK not in names:
        raise ConfigError(f"out {out!r} has files that no export wrote; give another folder")
    if names and not force:
        raise ConfigError(f"out {out!r} exists; give --force to replace it")


def written_meanwhile(what: str) -> str:
    """The sentence about an export whose place another one took."""
    return (
        f"{what} was written meanwhile, by another export; its files stand whole. Give another "
        "name, or --force to replace them"
    )
