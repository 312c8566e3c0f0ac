"""The lock of a run on an object store: an object whose content changes every few seconds.

One that stands still belongs to a driver that is gone. No clocks of two machines are compared.
"""

from __future__ import annotations

import contextlib
import json
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pipeline.run.committed import CommittedUnits
from pipeline.run.lock_holder import LOCK, held_by, myself, now, parsed, taken_by
from pipeline.storage.errors import MissingFile
from pipeline.storage.files import create_bytes, read_bytes, remove, write_bytes
from schemas.errors import ConfigError, GlipforgeError

RequireHeld = Callable[[], None]
"""Raises `LockLost` where the lock is another driver's now."""
_log = logging.getLogger(__name__)


class LockLost(GlipforgeError):
    """Another driver took the run while this one stood still; says which."""


@contextlib.contextmanager
def object_lock(
    run: CommittedUnits, doing: str, *, beat_s: float, stale_s: float
) -> Iterator[RequireHeld]:
    """Hold a run of an object store while in the block; see `run_lock`."""
    url = run.url(LOCK)
    me = myself() | {"token": uuid.uuid4().hex}
    me["at"] = me["since"]
    _take_object(run, me, doing, beat_s=beat_s, stale_s=stale_s)
    stop = threading.Event()
    lost_to: list[dict[str, Any]] = []

    def beat() -> None:
        count = 0
        while not stop.wait(beat_s):
            count += 1
            try:
                other = _renew(url, me, count)
            except GlipforgeError as error:  # whatever it is, the next beat tries again
                _log.warning("cannot renew the lock of %s: %s", run.uri, error)
            else:
                if other is not None:
                    lost_to.append(other)
                    return

    def require_held() -> None:
        if lost_to:
            raise LockLost(taken_by(run.uri, doing, lost_to[0]))

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


def _renew(url: str, me: Mapping[str, Any], count: int) -> dict[str, Any] | None:
    """One beat. Returns what the lock says of another driver that has taken it, else None."""
    said = json.dumps({**me, "beat": count, "at": now()}).encode()
    try:
        found = read_bytes(url)
    except MissingFile:
        create_bytes(url, said)  # somebody deleted it: ours again, unless another was faster
        return None
    if not _is_token(found, me):
        return parsed(found)
    write_bytes(url, said)
    return None


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
            raise ConfigError(held_by(run.uri, doing, parsed(found)))
        if not seen:
            seen, since = found, time.monotonic()
            _log.warning(
                "%s: a driver may still be at work; waiting up to %.0f s to see", run.uri, stale_s
            )
        if time.monotonic() - since > stale_s:
            remove(url)
            seen = b""
        time.sleep(min(beat_s, stale_s) / 5)
