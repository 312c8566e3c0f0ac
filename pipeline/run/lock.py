"""One driver per run at a time: saves double work. Correctness stands on the markers alone.

On a file system the lock is the kernel's (`flock`): it ends with its process, however that ends.
On an object store it is an object whose content changes every few seconds; one that stands still
belongs to a driver that is gone. No clocks of two machines are compared.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from shlex import quote
from typing import IO, Any, TextIO

from pipeline.run.committed import CommittedUnits
from pipeline.run.store import RunStore
from pipeline.storage.errors import MissingFile
from pipeline.storage.files import create_bytes, read_bytes, remove, write_bytes
from pipeline.storage.lock_file import try_lock
from schemas.damage import whole
from schemas.errors import ConfigError, GlipforgeError, RetryableError

LOCK = "_lock"
BEAT_S = 15.0
STALE_S = 60.0
LOOKS = 5
RequireHeld = Callable[[], None]
"""Raises `LockLost` where the lock is another driver's now."""
_log = logging.getLogger(__name__)
_streams: set[IO[str]] = set()
"""Lock files that this process holds."""


class LockLost(GlipforgeError):
    """Another driver took the run while this one stood still; says which."""


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
    if run.is_local:
        with folder_lock(run.uri, partial(_held, run.uri, doing)):
            yield lambda: None  # the kernel's: nobody takes it from a living process
    else:
        with _object_lock(run, doing, beat_s=beat_s, stale_s=stale_s) as require_held:
            yield require_held


@dataclass(frozen=True, slots=True, kw_only=True)
class LockHolder:
    """Who holds a run or a folder, as it wrote it."""

    host: str = ""
    pid: int = 0
    """0: it has just started and has not written its name yet."""
    since: str = ""
    silent_s: float = 0.0
    """On an object store the seconds since its last sign of life, by this machine's clock; more
    than `STALE_S`: it is gone."""

    @classmethod
    def of(cls, raw: Mapping[str, Any], silent_s: float = 0.0) -> LockHolder:
        """From the content of a lock file."""
        return cls(
            host=str(raw.get("host", "")),
            pid=int(raw.get("pid", 0)),
            since=str(raw.get("since", "")),
            silent_s=silent_s,
        )


def lock_holder(run: RunStore) -> LockHolder | None:
    """The driver that works on a local run now; None if there is none.

    On an object store the last one that did not end by itself.
    """
    if not run.is_local:
        try:
            data = read_bytes(run.url(LOCK))
        except MissingFile:
            return None
        with whole(run.url(LOCK), "delete it if no driver is at work"):
            holder = dict(json.loads(data))
            silence = datetime.now(UTC) - datetime.fromisoformat(holder["at"])
            return LockHolder.of(holder, round(max(0.0, silence.total_seconds()), 1))
    return folder_holder(Path(run.uri))


def folder_holder(folder: Path) -> LockHolder | None:
    """The driver that holds a folder now; None if there is none."""
    try:
        with open(folder / LOCK) as stream:
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
    with folder_lock(str(folder), partial(_held, str(folder), "trained")):
        yield


@contextlib.contextmanager
def folder_lock(folder: str, held: Callable[[dict[str, Any]], str]) -> Iterator[None]:
    """Hold a folder of a file system; `held` makes the refusal from what the holder wrote."""
    path = os.path.join(folder, LOCK)
    os.makedirs(folder, exist_ok=True)
    # Never deleted: a second driver could lock the deleted file and a third one a new file.
    with open(path, "a+") as stream:
        # `lock_holder` takes the lock for an instant to look: that is not a driver.
        for _ in range(LOOKS):
            if try_lock(stream):
                break
            time.sleep(0.1)
        else:
            raise ConfigError(held(_read_holder(stream)))
        stream.truncate(0)
        stream.write(json.dumps(_myself()))
        stream.flush()
        _streams.add(stream)
        try:
            yield
        finally:
            _streams.discard(stream)


def _forget_locks() -> None:
    # A forked child shares the lock: one that outlives its parent would keep it.
    for stream in _streams:
        os.close(stream.fileno())
    _streams.clear()


os.register_at_fork(after_in_child=_forget_locks)


def _read_holder(stream: TextIO) -> dict[str, Any]:
    stream.seek(0)
    return _parsed(stream.buffer.read())


def _parsed(data: bytes) -> dict[str, Any]:
    """What a lock says; nothing where its holder has not written its name yet."""
    try:
        found = json.loads(data)
        who = {"host": str(found["host"]), "pid": int(found["pid"])}
        return {**who, "since": str(found["since"])}
    except Exception:  # half written, or damaged: who holds it is not known, that it is held is
        return {}


# --- object stores -----------------------------------------------------------------------------


@contextlib.contextmanager
def _object_lock(
    run: CommittedUnits, doing: str, *, beat_s: float, stale_s: float
) -> Iterator[RequireHeld]:
    url = run.url(LOCK)
    me = _myself() | {"token": uuid.uuid4().hex}
    me["at"] = me["since"]
    _take_object(run, me, doing, beat_s=beat_s, stale_s=stale_s)
    stop = threading.Event()
    lost_to: list[dict[str, Any]] = []

    def beat() -> None:
        count = 0
        while not stop.wait(beat_s):
            count += 1
            now = json.dumps(me | {"beat": count, "at": _now()}).encode()
            try:
                found = read_bytes(url)
                if not _is_token(found, me):
                    lost_to.append(_parsed(found))
                    return
                write_bytes(url, now)
            except MissingFile:
                create_bytes(url, now)  # somebody deleted it: ours again, unless another was faster
            except RetryableError as error:
                _log.warning("cannot renew the lock of %s: %s", run.uri, error)

    def require_held() -> None:
        if lost_to:
            raise LockLost(_taken(run.uri, doing, lost_to[0]))

    thread = threading.Thread(target=beat, name="run-lock", daemon=True)
    thread.start()
    try:
        yield require_held
    finally:
        stop.set()
        thread.join()
        try:
            with contextlib.suppress(MissingFile):
                if _is_token(read_bytes(url), me):
                    remove(url)
        except GlipforgeError as error:  # it must not hide what ended the block
            _log.warning("the lock of %s stays for a while: %s", run.uri, error)


def _is_token(data: bytes, me: Mapping[str, Any]) -> bool:
    """Whether the lock has this driver's token; not where another took it meanwhile."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and found.get("token") == me["token"]


def _take_object(
    run: CommittedUnits, me: dict[str, Any], doing: str, *, beat_s: float, stale_s: float
) -> None:
    url = run.url(LOCK)
    seen, since = b"", time.monotonic()
    while not create_bytes(url, json.dumps(me).encode()):
        try:
            found = read_bytes(url)
        except MissingFile:
            continue
        if _is_token(found, me):
            return  # the answer to our own write was lost
        if seen and found != seen:
            raise ConfigError(_held(run.uri, doing, _parsed(found)))
        if not seen:
            seen, since = found, time.monotonic()
            _log.warning(
                "%s: a driver may still be at work; waiting up to %.0f s to see", run.uri, stale_s
            )
        if time.monotonic() - since > stale_s:
            remove(url)
            seen = b""
        time.sleep(min(beat_s, stale_s) / 5)


def _myself() -> dict[str, Any]:
    return {"host": socket.gethostname(), "pid": os.getpid(), "since": _now()}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _who(holder: dict[str, Any]) -> str:
    if {"pid", "host", "since"} <= holder.keys():
        return f"process {holder['pid']} on {holder['host']}, since {holder['since']}"
    return "which has just started"


def _taken(place: str, doing: str, holder: dict[str, Any]) -> str:
    return (
        f"another driver took the lock of {place} while this one stood still ({_who(holder)}), and "
        f"it is being {doing} by that one: this one stops. What is committed is safe, and the same "
        f"command goes on once the other has ended; `glipforge status {quote(str(place))}` shows "
        "how far it is"
    )


def _held(place: str, doing: str, holder: dict[str, Any]) -> str:
    return (
        f"{place} is being {doing} by another driver ({_who(holder)}); wait for it, stop it, or "
        f"give another --out. `glipforge status {quote(str(place))}` shows how far it is"
    )
