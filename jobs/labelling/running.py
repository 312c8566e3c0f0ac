"""Where a labelling runs and how fast: what a user says, and what a worker takes of a cluster."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from jobs.arguments import Moves
from schemas.errors import ConfigError
from schemas.records import Status

if TYPE_CHECKING:
    from jobs.labelling.progress import LabelProgress
    from jobs.labelling.ray_actor import ActorNeeds
    from jobs.labelling.setup import LabelSetup
    from jobs.labelling.worker import WorkerSpec
    from pipeline.run.store import RunStore
    from schemas.plan import Unit


ALL = "all"
_CAN_FAIL = tuple(
    str(status) for status in Status if status.is_quarantined and status is not Status.DUPLICATE_ID
)


@dataclass(frozen=True, kw_only=True)
class Running:
    """Where and how fast; none of it changes a row, but for the threads the last digits."""

    runner: Literal["ray", "local"] = "ray"
    """`ray`: the cluster of the job, or one started here. `local`: this process, without Ray."""
    workers: int = 0
    """Ray actors, each with a teacher. 0: as many as the cluster has GPUs, or CPUs for."""
    cpus_per_worker: float = 0.0
    """Also the threads of its arithmetic, with `--runner local` too: there the number of cores is
    fastest. Other threads change last digits. 0: 4 beside a GPU, else 1."""
    gpus_per_worker: float = -1.0
    """May be a fraction. -1: one where the cluster has GPUs."""
    memory_per_worker: int = 0
    """Bytes that Ray reserves for each worker. 0: none."""
    call_size: int = 32
    """Images that are sorted, decoded and given to the teacher together."""
    decode_threads: int = 4
    """Threads of a worker that fetch and decode."""
    attempts: int = 3
    """Tries of a unit that fails with an exception."""
    hang_s: float = 600.0
    """A worker without any progress for so many seconds is replaced; with `--runner local` the run
    is given up."""
    retry_failed: str = ""
    """Label rows again that failed: `all`, or statuses such as `image_missing,worker_hang`. The
    other rows stay; the old reasons are kept in OUT/_retries."""
    relocate: Moves = ()
    """The corpus of this run was at OLD and is at NEW, also where both are one place and only the
    times of its files changed. Sizes, units and pictures of rows are compared. Given again, it
    names one more place."""
    max_failure_rate: float = 0.9
    """Give up when after 1,000 rows a larger share than this could not be used; of the whole run
    in the end, however short: exit code 1."""
    verify: bool = False
    """Before going on, read every committed file and compare its hash; torn ones are done again."""

    def __post_init__(self) -> None:
        for name in ("call_size", "decode_threads", "attempts"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("workers", "cpus_per_worker", "memory_per_worker"):
            require_at_least(0, name, getattr(self, name))
        require_at_least(-1, "gpus_per_worker", self.gpus_per_worker)
        statuses_to_retry(self.retry_failed)
        if not 0 < self.hang_s < math.inf:
            raise ConfigError(f"hang_s must be a positive number of seconds, got {self.hang_s}")
        if not 0 <= self.max_failure_rate <= 1:
            raise ConfigError(f"max_failure_rate must be in [0, 1], got {self.max_failure_rate}")


def require_at_least(least: int, name: str, value: float) -> None:
    """Refuse what is smaller, endless or not a number.

    Raises:
        ConfigError: names the option.
    """
    if not least <= value < math.inf:
        raise ConfigError(f"{name} must be {least} or more, got {value}")


def statuses_to_retry(text: str) -> tuple[str, ...]:
    """What `--retry-failed` names: `all`, or statuses with commas between them; empty: none.

    Raises:
        ConfigError: a word is not the status of a failure.
    """
    words = [word.strip() for word in text.split(",") if word.strip()]
    if words == [ALL]:
        return _CAN_FAIL
    for word in words:
        if word not in _CAN_FAIL:
            raise ConfigError(
                f"--retry-failed must be {ALL}, or of {', '.join(_CAN_FAIL)}, got {word!r}"
            )
    return tuple(words)


def worker_needs(running: Running, setup: LabelSetup) -> tuple[ActorNeeds, int]:
    """What a worker takes of the connected cluster, and how many find room."""
    import ray

    from jobs.labelling.ray_actor import ActorNeeds

    total = ray.cluster_resources()  # type: ignore[no-untyped-call]
    cpus, gpus = float(total.get("CPU", 1)), float(total.get("GPU", 0))
    num_gpus = running.gpus_per_worker
    if num_gpus < 0:
        num_gpus = 1.0 if gpus and getattr(setup, "device", "cpu") != "cpu" else 0.0
    num_cpus = running.cpus_per_worker or min(4.0 if num_gpus else 1.0, cpus)
    room = cpus // num_cpus
    if num_gpus:
        room = min(room, gpus // num_gpus)
    needs = ActorNeeds(num_cpus=num_cpus, num_gpus=num_gpus, memory=running.memory_per_worker)
    return needs, max(1, int(room))


def run_units(
    store: RunStore,
    spec: WorkerSpec,
    pending: list[Unit],
    progress: LabelProgress,
    running: Running,
) -> dict[str, str]:
    """Label the units with the runner that was asked for; the reason of each that failed, by id.

    Raises:
        ConfigError, TooManyFailures: see the runners.
    """
    if running.runner == "local":
        from jobs.labelling.local_runner import run_local

        return run_local(
            pending,
            spec,
            progress,
            attempts=running.attempts,
            cpus=running.cpus_per_worker,
            hang_s=running.hang_s,
        )
    from jobs.labelling.ray_runner import RayRunner
    from jobs.ray_session import ray_session

    with ray_session():
        needs, room = worker_needs(running, spec.setup)
        return RayRunner(
            store=store,
            spec=spec,
            progress=progress,
            needs=needs,
            num_workers=max(1, min(running.workers or room, len(pending))),
            attempts=running.attempts,
            hang_s=running.hang_s,
        ).run(pending)
