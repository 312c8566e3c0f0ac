"""One driver per run at a time: saves double work. Correctness stands on the markers alone.

On a file system the lock is the kernel's (`flock`): it ends with its process, however that ends.
On an object store it is an object (`pipeline.run.object_lock`).
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import IO, Any

from pipeline.run.committed import CommittedUnits
from pipeline.run.lock_holder import LOCK, LockHolder, held_by, myself, parsed, taken_by
from pipeline.run.object_lock import RequireHeld, is_of_a_disk, object_lock
from pipeline.run.store import RunStore
from pipeline.storage.errors import MissingFile
from pipeline.storage.files import read_bytes
from pipeline.storage.inside import has_other_names, is_still_at, open_lock
from pipeline.storage.local_place import refuse_special
from pipeline.storage.lock_file import try_lock
from schemas.atomic import write_whole
from schemas.damage import whole
from schemas.errors import ConfigError

BEAT_S = 15.0
STALE_S = 60.0
LOOKS = 5
_streams: set[IO[bytes]] = set()
"""Lock files that this process holds."""


@contextlib.contextmanager
def run_lock(
    run: CommittedUnits,
    *,
    doing: str = "labelled",
    beat_s: float = BEAT_S,
    stale_s: float = STALE_S,
) -> Iterator[RequireHeld]:
    """Hold the run, or a layer of one, while in the block. `doing` is said where it is held.

    Yields:
        To be called now and then: raises `LockLost` once another driver has taken the lock.

    Raises:
        ConfigError: another driver holds it; names its host, process and start.
    """
    held = partial(held_by, run.uri, doing)
    if run.is_local:
        run.writable(LOCK)
        with folder_lock(run.uri, held):
            yield lambda: None  # the kernel's: nobody takes it from a living process
    else:
        taken = partial(taken_by, run.uri, doing)
        with object_lock(
            run.url(LOCK), run.uri, held=held, taken=taken, beat_s=beat_s, stale_s=stale_s
        ) as require_held:
            yield require_held


def lock_holder(run: RunStore) -> LockHolder | None:
    """The driver that works on a local run now; None if there is none.

    On an object store the last one that did not end by itself.
    """
    if not run.is_local:
        try:
            data = read_bytes(run.url(LOCK))
        except MissingFile:
            return None
        if is_of_a_disk(data):
            return None
        with whole(run.url(LOCK), "delete it if no driver is at work"):
            holder = dict(json.loads(data))
            silence = datetime.now(UTC) - datetime.fromisoformat(holder["at"])
            return LockHolder.of(holder, round(max(0.0, silence.total_seconds()), 1))
    return folder_holder(Path(run.uri))


def folder_holder(folder: Path) -> LockHolder | None:
    """The driver that holds a folder now; None if there is none."""
    refuse_special(folder / LOCK)
    try:
        with open(folder / LOCK, "rb") as stream:
            if try_lock(stream, shared=True):
                return None
            return LockHolder.of(_read_holder(stream))
    except FileNotFoundError:
        return None


# --- file systems ------------------------------------------------------------------------------


@contextlib.contextmanager
def training_lock(folder: Path) -> Iterator[None]:
    """Hold the folder of a training while in the block.

    Raises:
        ConfigError: another training holds it; names its host, process and start.
    """
    with folder_lock(str(folder), partial(held_by, str(folder), "trained")):
        yield


@contextlib.contextmanager
def folder_lock(folder: str, held: Callable[[dict[str, Any]], str]) -> Iterator[None]:
    """Hold a folder of a file system; `held` makes the refusal from what the holder wrote."""
    path = os.path.join(folder, LOCK)
    os.makedirs(folder, exist_ok=True)
    with _locked(path, held) as stream:
        stream.truncate(0)
        stream.write(json.dumps(myself()).encode())
        stream.flush()
        _streams.add(stream)
        try:
            yield
        finally:
            _streams.discard(stream)


def _locked(path: str, held: Callable[[dict[str, Any]], str]) -> IO[bytes]:
    """The lock's file, locked, and shared with no other folder."""
    # Never deleted: a second driver could lock the deleted file and a third one a new file. A file
    # with other names, as in a copy by `cp -al`, is left to them: only its holder puts a new one
    # in its place, and who waited for the old one sees that.
    holder: dict[str, Any] = {}
    for _ in range(LOOKS):
        with contextlib.ExitStack() as opened:
            stream = opened.enter_context(open_lock(path))
            if not try_lock(stream):
                # `lock_holder` takes the lock for an instant to look: that is not a driver.
                holder = _read_holder(stream)
                time.sleep(0.1)
            elif has_other_names(stream):
                write_whole(Path(path), b"")
            elif is_still_at(stream, path):
                opened.pop_all()
                return stream
    raise ConfigError(held(holder))


def _forget_locks() -> None:
    # A forked child shares the lock: one that outlives its parent would keep it.
    for stream in _streams:
        os.close(stream.fileno())
    _streams.clear()


os.register_at_fork(after_in_child=_forget_locks)


def _read_holder(stream: IO[bytes]) -> dict[str, Any]:
    stream.seek(0)
    return parsed(stream.read())
