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

from pipeline.run.lock_holder import myself, now, parsed
from pipeline.storage.errors import MissingFile
from pipeline.storage.files import create_bytes, read_bytes, remove, write_bytes
from schemas.errors import ConfigError, GlipforgeError

RequireHeld = Callable[[], None]
"""Raises `LockLost` where the lock is another driver's now."""
Sentence = Callable[[dict[str, Any]], str]
"""What a holder wrote -> what is said about it."""
_log = logging.getLogger(__name__)


class LockLost(GlipforgeError):
    """Another process took the place while this one stood still; says which."""


class HeldObject:
    """A lock of an object store as its holder has it. Called: raises where it is known to be lost.

    Args:
        url: Of the lock.
        me: What this process wrote into it.
        taken: Why it stops where another took it.
    """

    def __init__(self, url: str, me: Mapping[str, Any], taken: Sentence) -> None:
        self._url = url
        self._me = me
        self._taken = taken
        self.lost_to: dict[str, Any] | None = None

    def __call__(self) -> None:
        """As the last sign of life found it.

        Raises:
            LockLost: another has it.
        """
        if self.lost_to is not None:
            raise LockLost(self._taken(self.lost_to))

    def look(self) -> None:
        """As it is now.

        Raises:
            LockLost: another has it, or had it.
        """
        if self.lost_to is None:
            try:
                found = read_bytes(self._url)
            except MissingFile:
                self.lost_to = {}
            else:
                self.lost_to = None if _is_token(found, self._me) else parsed(found)
        self()


@contextlib.contextmanager
def object_lock(
    url: str, place: str, *, held: Sentence, taken: Sentence, beat_s: float, stale_s: float
) -> Iterator[HeldObject]:
    """Hold a place of an object store while in the block.

    Args:
        url: Of the lock.
        place: What is held, for messages.
        held: The refusal where another has it.
        taken: Why this one stops where another took it.
        beat_s: Seconds between two signs of life.
        stale_s: Of silence, after which a holder is gone.

    Yields:
        To be called now and then: raises `LockLost` once another has taken the lock.

    Raises:
        ConfigError: another holds it.
    """
    me = myself() | {"token": uuid.uuid4().hex}
    me["at"] = me["since"]
    _take_object(url, place, me, held, beat_s=beat_s, stale_s=stale_s)
    stop = threading.Event()
    lock = HeldObject(url, me, taken)

    def beat() -> None:
        count = 0
        while not stop.wait(beat_s):
            count += 1
            try:
                other = _renew(url, me, count)
            except GlipforgeError as error:  # whatever it is, the next beat tries again
                _log.warning("cannot renew the lock of %s: %s", place, error)
            else:
                if other is not None:
                    lock.lost_to = other
                    return

    thread = threading.Thread(target=beat, name="run-lock", daemon=True)
    thread.start()
    try:
        yield lock
    finally:
        stop.set()
        thread.join()
        try:
            with contextlib.suppress(MissingFile):
                if _is_token(read_bytes(url), me):
                    remove(url)
        except GlipforgeError as error:  # it must not hide what ended the block
            _log.warning("the lock of %s stays for a while: %s", place, error)


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


def is_of_a_disk(data: bytes) -> bool:
    """Whether it came with a run that was copied from a file system: nobody renews such a lock."""
    found = parsed(data)
    return bool(found) and b'"token"' not in data


def _take_object(
    url: str, place: str, me: dict[str, Any], held: Sentence, *, beat_s: float, stale_s: float
) -> None:
    seen, since = b"", time.monotonic()
    while not create_bytes(url, json.dumps(me).encode()):
        try:
            found = read_bytes(url)
        except MissingFile:
            continue
        if _is_token(found, me):
            return  # the answer to our own write was lost
        if is_of_a_disk(found):
            remove(url)
            continue
        if seen and found != seen:
            raise ConfigError(held(parsed(found)))
        if not seen:
            seen, since = found, time.monotonic()
            _log.warning(
                "%s: another may still be at work there; waiting up to %.0f s to see",
                place,
                stale_s,
            )
        if time.monotonic() - since > stale_s:
            remove(url)
            seen = b""
        time.sleep(min(beat_s, stale_s) / 5)
