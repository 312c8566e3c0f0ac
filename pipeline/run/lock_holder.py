"""Who holds the lock of a run or a folder, and the sentences that say so."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from shlex import quote
from typing import Any

LOCK = "_lock"


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


def myself() -> dict[str, Any]:
    """What this process writes into a lock."""
    return {"host": socket.gethostname(), "pid": os.getpid(), "since": now()}


def now() -> str:
    """The time as locks have it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def parsed(data: bytes) -> dict[str, Any]:
    """What a lock says; nothing where its holder has not written its name yet."""
    try:
        found = json.loads(data)
        who = {"host": str(found["host"]), "pid": int(found["pid"])}
        return {**who, "since": str(found["since"])}
    except Exception:  # half written, or damaged: who holds it is not known, that it is held is
        return {}


def who(holder: dict[str, Any]) -> str:
    """The process that a lock names."""
    if {"pid", "host", "since"} <= holder.keys():
        return f"process {holder['pid']} on {holder['host']}, since {holder['since']}"
    return "which has just started"


def taken_by(place: str, doing: str, holder: dict[str, Any]) -> str:
    """Why a driver stops whose lock is another's now."""
    return (
        f"another driver took the lock of {place} while this one stood still ({who(holder)}), and "
        f"it is being {doing} by that one: this one stops. What is committed is safe, and the same "
        f"command goes on once the other has ended; `glipforge status {quote(str(place))}` shows "
        "how far it is"
    )


def held_by(place: str, doing: str, holder: dict[str, Any]) -> str:
    """Why a driver does not begin."""
    return (
        f"{place} is being {doing} by another driver ({who(holder)}); wait for it, stop it, or "
        f"give another --out. `glipforge status {quote(str(place))}` shows how far it is"
    )
