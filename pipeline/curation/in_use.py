"""Curated files that somebody reads or writes stay: only who is alone removes what is left over.

On a file system filters and readers of a curation share the kernel's lock of a file beside it. An
object store has no such lock: there a file stays for some hours after it was written.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from pipeline.storage.files import is_local, local_path
from pipeline.storage.folders import remove_old_files, remove_other_files
from pipeline.storage.inside import open_lock, require_inside
from pipeline.storage.lock_file import try_lock, wait_shared
from schemas.errors import DataError

LOCK = ".lock"
KEPT_S = 6 * 3600.0
"""On an object store: longer than a filter or an export takes."""


@dataclass(frozen=True, slots=True)
class InUse:
    """The use of one curation's folder."""

    folder: str
    stream: IO[Any] | None
    """None on an object store, and where nothing can be written."""

    def remove_leftovers(self, named: Callable[[], Collection[str]], newest: str) -> None:
        """Remove files that neither the manifest names nor another process may be using.

        Args:
            named: Reads the manifest as it is now; another filter may have replaced it.
            newest: Name of a file of the folder that was written just now.
        """
        if not is_local(self.folder):
            remove_old_files(self.folder, named(), suffix=".parquet", newest=newest, kept_s=KEPT_S)
        elif self.stream is not None and try_lock(self.stream):
            remove_other_files(self.folder, named(), suffix=".parquet")
            _remove_staged(local_path(self.folder))


@contextlib.contextmanager
def in_use(folder: str, *, writes: bool = False) -> Iterator[InUse]:
    """Keep the files of a curation's folder, RUN/curated/<policy>, while in the block, whoever
    filters meanwhile.

    Raises:
        OSError: `writes`, and the folder takes no files.
        DataError: `writes`, and a link leads out of the run.
        ConfigError: the lock is a pipe or a device.
    """
    with contextlib.ExitStack() as opened:
        stream: IO[Any] | None = None
        if is_local(folder):
            place = Path(local_path(folder))
            try:
                require_inside(place, place.parents[1])
                place.mkdir(parents=True, exist_ok=True)
                stream = opened.enter_context(open_lock(str(place / LOCK)))
            except (OSError, DataError):
                if writes:
                    raise
            else:
                wait_shared(stream)
        yield InUse(folder, stream)


def _remove_staged(folder: str) -> None:
    """What killed filters were just writing; see `schemas.atomic`."""
    for entry in os.scandir(folder):
        if entry.name.startswith(".") and entry.name != LOCK and entry.is_file():
            with contextlib.suppress(FileNotFoundError):
                os.unlink(entry.path)
