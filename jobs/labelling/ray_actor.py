"""A `LabelWorker` in a Ray actor of its own, and how the driver talks to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jobs.labelling.worker import Beat, LabelWorker, WorkerSpec
    from pipeline.run.commit_unit import CommitOutcome
    from schemas.plan import Unit
    from schemas.records import Annotation, CorpusRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorNeeds:
    """What one worker takes of the cluster."""

    num_cpus: float = 1.0
    num_gpus: float = 0.0
    memory: int = 0
    """Bytes that are reserved; 0: none."""


class LabelActor:
    """Loads in `ready`, so that the reason of a failure reaches the driver as it is."""

    def __init__(self, spec: WorkerSpec) -> None:
        self._spec = spec
        self._worker: LabelWorker | None = None
        self._metrics: Any = None

    def ready(self) -> str:
        """Load the tools; returns the teacher's note."""
        from jobs.labelling.metrics import LabelMetrics
        from jobs.labelling.worker import LabelWorker

        self._metrics = LabelMetrics()
        self._worker = LabelWorker(self._spec, on_commit=self._metrics.add)
        return self._worker.ready()

    def beat(self) -> Beat:
        """See `LabelWorker.beat`."""
        return self._loaded().beat()

    def label(self, unit: Unit) -> CommitOutcome:
        """See `LabelWorker.label`."""
        return self._loaded().label(unit)

    def list_records(self, unit: Unit) -> list[CorpusRecord]:
        """See `LabelWorker.list_records`."""
        return self._loaded().list_records(unit)

    def label_range(self, unit: Unit, start: int, stop: int) -> list[Annotation]:
        """See `LabelWorker.label_range`."""
        return self._loaded().label_range(unit, start, stop)

    def _loaded(self) -> LabelWorker:
        if self._worker is None:
            raise RuntimeError("the worker was asked before it was ready")
        return self._worker


def start_actor(spec_ref: Any, needs: ActorNeeds) -> Any:
    """A new actor. Ray never restarts it: the driver replaces it and knows what it was doing."""
    import ray

    from jobs.labelling.worker import DEPTH

    options: dict[str, Any] = {
        "num_cpus": needs.num_cpus,
        "num_gpus": needs.num_gpus,
        "max_restarts": 0,
        "max_task_retries": 0,
        "max_concurrency": DEPTH + 2,  # the units, the question for beats, and one to spare
    }
    if needs.memory:
        options["memory"] = needs.memory
    return ray.remote(**options)(LabelActor).remote(spec_ref)


def lost_its_node(error: Exception) -> bool:
    """True where an actor ended because its machine went or is out of reach: no fault of its own.

    Ray tells other deaths apart by the text alone.
    """
    from ray.exceptions import ActorUnavailableError, RayActorError

    return isinstance(error, ActorUnavailableError) or (
        isinstance(error, RayActorError) and (error.preempted or "node has died" in str(error))
    )


def why_it_ended(error: Exception) -> str:
    """Ray's error in a line, without the addresses of the actor, which say nothing to a user."""
    lines = [line for line in str(error).splitlines() if not line.startswith("\t")]
    return f"{type(error).__name__}: {' '.join(lines)}"
