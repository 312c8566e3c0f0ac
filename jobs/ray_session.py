"""Connects to the Ray cluster of a job, or starts Ray on this machine for the time of a command."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator

from jobs.termination import sigterm_as_interrupt
from schemas.errors import ConfigError

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


@contextlib.contextmanager
def ray_session(num_cpus: int = 0) -> Iterator[None]:
    """Ray for the time of the block; SIGTERM ends it as Ctrl-C does.

    Connects where `RAY_ADDRESS` is set, which `ray job submit` does; else a local instance with
    `num_cpus` cores (0: those of this machine) is started, and stopped at the end. A Ray that runs
    in this process already is used and left alone.
    """
    import ray

    started = not ray.is_initialized()
    if started and os.environ.get("RAY_ADDRESS"):
        ray.init(logging_level=logging.WARNING)
    elif started:
        # Without this Ray's first local start writes a token that later clusters then ask for.
        os.environ.setdefault("RAY_AUTH_MODE", "disabled")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        ray.init(
            address="local",  # else it joins whatever cluster was started on this machine
            num_cpus=num_cpus or None,
            include_dashboard=False,
            logging_level=logging.WARNING,
            object_store_memory=OBJECT_STORE_BYTES,
        )
    try:
        with sigterm_as_interrupt():  # after ray.init, which installs a handler of its own
            yield
    finally:
        if started:
            ray.shutdown()
