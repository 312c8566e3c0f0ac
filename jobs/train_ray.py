"""The same training on several workers, with Ray Train.

Ray starts the workers and starts them again when one dies; what a run has done is in its own
directory, so a restart is the same resume as after any other stop.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.ray_session import ray_session, require_absolute
from jobs.recipe import Recipe, recipe_json
from schemas.errors import GlipforgeError

if TYPE_CHECKING:
    from jobs.pretrain import Config

MAX_RESTARTS = 3
"""Deaths of a worker that a run survives."""
TIMEOUT_S = 7200
"""The others wait so long while the first worker fills the image cache or evaluates."""


def train_on_ray(config: Config, recipe: Recipe) -> None:
    """Train on `config.workers` processes.

    Raises:
        ConfigError: the output is relative inside a Ray job, where it would be lost.
        GlipforgeError: the workers failed for good.
    """
    import dataclasses

    import torch
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    from jobs.training_run import machine_of, write_recipe

    require_absolute("out", str(config.out))
    out = config.out.resolve()
    write_recipe(out, recipe)
    use_gpu = config.device.startswith("cuda") or (
        config.device == "auto" and torch.cuda.is_available()
    )
    # One more core than workers: Ray Train's own controller needs one.
    with ray_session(num_cpus=config.workers + 1):
        trainer = TorchTrainer(
            _train_one_worker,
            train_loop_config={
                "recipe": recipe_json(recipe),
                "out": str(out),
                "machine": dataclasses.asdict(machine_of(config)),
                "folder": os.getcwd(),
            },
            scaling_config=ScalingConfig(num_workers=config.workers, use_gpu=use_gpu),
            torch_config=TorchConfig(backend="nccl" if use_gpu else "gloo", timeout_s=TIMEOUT_S),
            run_config=RunConfig(
                # Ray continues a run of the same name; ours is continued by its directory.
                name=f"attempt-{os.getpid()}",
                storage_path=str(out / "ray"),
                failure_config=FailureConfig(max_failures=MAX_RESTARTS),
            ),
        )
        result = trainer.fit()
        if result.error is not None:
            raise GlipforgeError(f"training on Ray failed: {result.error}")


def _train_one_worker(config: dict[str, Any]) -> None:
    import ray.train

    from jobs.training_run import Machine, train_worker
    from jobs.typed_json import from_plain

    def report(step: int, path: Path) -> None:
        ray.train.report({"step": step, "checkpoint": path.name})

    # Paths in a recipe may be relative to where the command was given.
    if Path(config["folder"]).is_dir():
        os.chdir(config["folder"])
    train_worker(
        from_plain(Recipe, config["recipe"], "recipe"),
        Path(config["out"]),
        Machine(**config["machine"]),
        say=print,
        on_checkpoint=report,
    )
