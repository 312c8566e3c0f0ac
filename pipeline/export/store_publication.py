"""An export in an object store: one at a time at one place, and never two of them mixed.

Nothing there renames a folder. An export therefore holds a lock for as long as it works, creates
each file only where none is unless it may replace them, and ends with what says that it is whole.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
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
Send = Callable[[Path, Sequence[Path]], None]
"""A staging folder and the files in it -> they are at their places."""


@contextmanager
def store_publication(
    place: StorePlace, out: str, *, is_folder: bool, force: bool
) -> Iterator[Send]:
    """Hold `out` of a store while in the block; what is yielded publishes a staged export there.

    Raises:
        ConfigError: another export is at work there, or its files are there and `force` is not
            given, or a folder is there that no export made.
        LockLost: (`Send` too) this process stood still, and another took the place.
    """
    out = out.rstrip("/") if is_folder else out
    with _held(place, out) as lock:
        if is_folder:
            _check_folder(place, out, force=force)

        def send(stage: Path, files: Sequence[Path]) -> None:
            if lock is not None:
                lock.look()
            # A file's export ends with the file that it is named for.
            names = [path.relative_to(stage).as_posix() for path in files]
            names.sort(key=lambda name: (not is_folder and name == out.rpartition("/")[2], name))
            if is_folder:
                _send_folder(place, out, stage, names, lock, force=force)
            else:
                base = os.path.dirname(place.path)
                _send(place, base, out, stage, names, lock, force=force)

        yield send


@contextmanager
def _held(place: StorePlace, out: str) -> Iterator[HeldObject | None]:
    """The lock; None where the store has nothing that can be one."""
    parent, _, name = out.rpartition("/")
    if "/" not in place.path:  # the root of a bucket
        parent, name = out, ""
    if not (place.creates and creates_exclusively(parent)):
        _log.warning("%s: this store has no exclusive create; let one export at a time write", out)
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
    with object_lock(url, out, held=held, taken=taken, beat_s=BEAT_S, stale_s=STALE_S) as found:
        yield found


def _send_folder(
    place: StorePlace,
    out: str,
    stage: Path,
    names: Sequence[str],
    lock: HeldObject | None,
    *,
    force: bool,
) -> None:
    """The mark is created first, which claims the folder; written last, it counts the files."""
    before = _check_folder(place, out, force=force)
    mark = join_url(out, MARK)
    is_claimed = lock is not None and not before
    if is_claimed and not create_bytes(mark, json.dumps({"files": 0}).encode()):
        raise ConfigError(_meanwhile(out))
    try:
        _send(place, place.path, out, stage, names, lock, force=force)
    except BaseException:
        if is_claimed:
            _remove_ours([mark], lock)
        raise
    for name in sorted(set(before) - {*names, MARK}):
        _require(lock)
        remove(join_url(out, name))
    _require(lock)
    write_bytes(mark, json.dumps({"files": len(names)}).encode() + b"\n")


def _send(
    place: StorePlace,
    base: str,
    out: str,
    stage: Path,
    names: Sequence[str],
    lock: HeldObject | None,
    *,
    force: bool,
) -> None:
    """All files, or none of them where another export's are there."""
    sent: list[str] = []
    try:
        for name in names:
            _require(lock)
            local, path = str(stage / name), f"{base}/{name}"
            if force or lock is None:
                place.put(local, path)
            elif place.put_new(local, path):
                sent.append(path)
            else:
                raise ConfigError(_meanwhile(f"{out}: {name}"))
        _require(lock)
    except BaseException:
        scheme = place.url.partition("://")[0]
        _remove_ours([f"{scheme}://{path}" for path in sent], lock)
        raise


def _require(lock: HeldObject | None) -> None:
    if lock is not None:
        lock()


def _remove_ours(urls: Sequence[str], lock: HeldObject | None) -> None:
    """Files of a failed export, unless another took the place: they may be that one's by now."""
    with contextlib.suppress(Exception):  # it must not hide what ended the export
        if lock is not None:
            lock.look()
        for url in urls:
            remove(url)


def _check_folder(place: StorePlace, out: str, *, force: bool) -> list[str]:
    """Names of the files that are there."""
    names = [name for name in place.all_files() if name != _LOCK.format("")]
    if names and MARK not in names:
        raise ConfigError(f"out {out!r} has files that no export wrote; give another folder")
    if names and not force:
        raise ConfigError(f"out {out!r} exists; give --force to replace it")
    return names


def _meanwhile(what: str) -> str:
    return (
        f"{what} was written meanwhile, by another export; its files stand whole. Give another "
        "name, or --force to replace them"
    )
