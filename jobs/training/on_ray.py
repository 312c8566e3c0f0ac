"""The same training on several workers, with Ray Train.

Ray starts the workers and starts them again when one dies; what a run has done is in its own
directory, so a restart is the same resume as after any other stop.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.ray_session import ray_session, require_absolute
from jobs.training.recipe import Recipe
from schemas.atomic import write_whole
from schemas.errors import ConfigError, GlipforgeError, RetryableError

if TYPE_CHECKING:
    from jobs.training.run import Machine

MAX_RESTARTS = 3
"""Deaths of a worker that a run survives."""
TIMEOUT_S = 7200
"""The others wait so long while the first worker fills the image cache or evaluates."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a worker of Ray is given."""

    recipe: Recipe
    out: Path
    machine: Machine
    folder: Path
    """Where the command was given: paths in a recipe may be relative to it."""
    refusal: Path
    """Where a worker leaves word that trying again is of no use."""


def train_on_ray(recipe: Recipe, out: Path, machine: Machine, workers: int) -> None:
    """Train on so many processes.

    Raises:
        ConfigError: the output is relative inside a Ray job, where it would be lost; the batch
            cannot be divided; or what the workers raised.
        GlipforgeError: the workers failed for good.
    """
    import torch
    from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
    from ray.train.torch import TorchConfig, TorchTrainer

    from jobs.training.run import training_directory
    from model.training.stream import step_positions
    from model.training.workers import Workers

    require_absolute("out", str(out))
    if machine.device.startswith("cuda:") and workers > 1:
        raise ConfigError(
            f"--device {machine.device} with --workers {workers}: each worker needs a GPU of its "
            "own, which Ray chooses; give --device cuda"
        )
    out = out.resolve()
    # Here, not after minutes of Ray: each worker would find it again.
    step_positions(0, recipe.train.batch_size, recipe.train.accumulate, Workers(0, workers))
    use_gpu = machine.device.startswith("cuda") or (
        machine.device == "auto" and torch.cuda.is_available()
    )
    refusal = out / "ray" / f"refusal-{os.getpid()}.json"
    # One more core than workers: Ray Train's own controller needs one.
    with training_directory(out, recipe), ray_session(num_cpus=workers + 1):
        refusal.unlink(missing_ok=True)  # of one before with the same number
        trainer = TorchTrainer(
            _train_one_worker,
            train_loop_config={"work": Work(recipe, out, machine, Path.cwd(), refusal)},
            scaling_config=ScalingConfig(num_workers=workers, use_gpu=use_gpu),
            torch_config=TorchConfig(backend="nccl" if use_gpu else "gloo", timeout_s=TIMEOUT_S),
            run_config=RunConfig(
                # Ray continues a run of the same name; ours is continued by its directory.
                name=f"attempt-{os.getpid()}",
                storage_path=str(out / "ray"),
                failure_config=FailureConfig(max_failures=MAX_RESTARTS),
            ),
        )
        failure: TrainingFailedError | None = None
        try:
            trainer.fit()
        except TrainingFailedError as error:
            failure = error
        if refusal.exists():
            raise _read_refusal(refusal) from failure
        if failure is not None:
            raise GlipforgeError(f"training on Ray failed: {failure}") from failure


def _train_one_worker(config: dict[str, Work]) -> None:
    import ray.train

    from jobs.training.run import train_worker

    def report(step: int, path: Path) -> None:
        ray.train.report({"step": step, "checkpoint": path.name})

    work = config["work"]
    if work.folder.is_dir():
        os.chdir(work.folder)
    if work.refusal.exists():
        return  # Ray has started the workers again, but it would only be refused again
    try:
        train_worker(work.recipe, work.out, work.machine, say=print, on_checkpoint=report)
    except RetryableError:
        raise
    except GlipforgeError as error:
        write_refusal(work.refusal, error)
        raise


def write_refusal(path: Path, error: GlipforgeError) -> None:
    """Leave word for the driver, and for workers that Ray starts again: this is not an accident."""
    is_usage = isinstance(error, ConfigError)
    said = json.dumps({"is_usage": is_usage, "message": str(error)})
    write_whole(path, said.encode())


def _read_refusal(path: Path) -> GlipforgeError:
    said = json.loads(path.read_text())
    return (ConfigError if said["is_usage"] else GlipforgeError)(said["message"])
