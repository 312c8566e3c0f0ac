"""Connects to the Ray cluster of a job, or starts Ray on this machine for the time of a command."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from jobs.termination import sigterm_as_interrupt
from schemas.errors import ConfigError, GlipforgeError, RetryableError, reason_of

ANSWER_S = 4.0
OBJECT_STORE_BYTES = 300_000_000
"""Of a local Ray: only rows' numbers travel, so the least will do."""


def in_ray_job() -> bool:
    """True in a process that `ray job submit` started."""
    return "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ


def require_absolute(name: str, path: str) -> None:
    """Refuse a relative path inside a Ray job, where it lies in a folder that is thrown away.

    Raises:
        ConfigError: names the option and the path.
    """
    if in_ray_job() and "://" not in path and not os.path.isabs(path):
        raise ConfigError(
            f"{name}: {path!r} is relative: inside a Ray job that is a copy of the working "
            "directory, which is removed; give an absolute path or a URL that every node reaches"
        )


def require_answer(address: str) -> bool:
    """Refuse an address of a cluster at which nobody listens: Ray would wait for minutes.

    Returns False for an address without a port (`auto`), which only Ray can ask.

    Raises:
        ConfigError: names the address and what to do.
    """
    try:
        place = urlsplit(address if "://" in address else f"//{address}")
        host, port = place.hostname, place.port
        if not (host and port):
            return False
        with socket.create_connection((host, port), timeout=ANSWER_S):
            return True
    except (OSError, ValueError) as error:  # a port that is no number
        raise ConfigError(
            f"RAY_ADDRESS={address} does not answer ({reason_of(error)}); unset it, and Ray is "
            "started here, or give HOST:6379 or ray://HOST:10001 of a cluster"
        ) from error


@contextlib.contextmanager
def ray_session(num_cpus: int = 0) -> Iterator[None]:
    """Ray for the time of the block; SIGTERM ends it as Ctrl-C does.

    Connects where `RAY_ADDRESS` is set, which `ray job submit` does; else a local instance with
    `num_cpus` cores (0: those of this machine) is started, and stopped at the end. A Ray that runs
    in this process already is used and left alone.

    Raises:
        ConfigError: nobody answers at `RAY_ADDRESS`, or it is none.
        RetryableError: Ray does not start here.
    """
    import ray

    started = not ray.is_initialized()
    if started and (address := os.environ.get("RAY_ADDRESS")):
        require_answer(address)
        _start(f"RAY_ADDRESS={address} is not a Ray cluster that can be joined", ConfigError)
    elif started:
        # Without this Ray's first local start writes a token that later clusters then ask for.
        os.environ.setdefault("RAY_AUTH_MODE", "disabled")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        _start(
            "Ray does not start on this machine; `glipforge doctor` says what it lacks",
            RetryableError,
            address="local",  # else it joins whatever cluster was started on this machine
            num_cpus=num_cpus or None,
            include_dashboard=False,
            object_store_memory=OBJECT_STORE_BYTES,
        )
    try:
        with sigterm_as_interrupt():  # after ray.init, which installs a handler of its own
            yield
    finally:
        if started:
            ray.shutdown()


def _start(said: str, kind: type[GlipforgeError], **options: Any) -> None:
    """`ray.init`; whatever it raises is an error of this kind."""
    import ray

    try:
        ray.init(logging_level=logging.WARNING, **options)
    except Exception as error:  # plain ones among them: "The current node timed out"
        with contextlib.suppress(Exception):
            ray.shutdown()
        raise kind(f"{said}: {reason_of(error).splitlines()[0]}") from error
