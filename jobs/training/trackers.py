"""Who plots a training run besides its log: TensorBoard, Weights & Biases, MLflow."""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from schemas.atomic import write_whole
from schemas.checked import read_object
from schemas.errors import ConfigError, MissingDependency

KNOWN_RUNS = "trackers.json"
"""In the run's directory: which run of a tracker it is, so that a resume continues its curves."""


def require_trackers(names: Sequence[str]) -> None:
    """Refuse trackers that are not installed, before anything is loaded.

    Raises:
        MissingDependency: names the package.
    """
    for name in names:
        if name not in sys.modules and importlib.util.find_spec(name) is None:
            raise _missing(name)


def make_trackers(
    names: Sequence[str], directory: Path, recipe: Mapping[str, Any]
) -> tuple[Any, ...]:
    """TensorBoard and the trackers named; each is configured by its own environment variables.

    Raises:
        MissingDependency: a tracker's package is not installed.
    """
    makers = {"tensorboard": _tensorboard, "wandb": WandbTracker, "mlflow": MlflowTracker}
    return tuple(makers[name](directory, recipe) for name in dict.fromkeys(("tensorboard", *names)))


def _tensorboard(directory: Path, recipe: Mapping[str, Any]) -> Any:
    from model.training.journal import TensorBoardTracker

    return TensorBoardTracker(directory / "tensorboard")


class WandbTracker:
    """Weights & Biases; `WANDB_PROJECT`, `WANDB_MODE` and its other variables apply."""

    def __init__(self, directory: Path, recipe: Mapping[str, Any]) -> None:
        wandb = _import("wandb")
        run_id = _known_runs(directory).get("wandb")
        if run_id is None:
            # Its own, not the folder's name: two trainings may live in folders of one name.
            run_id = uuid.uuid4().hex[:16]
            _keep_run(directory, "wandb", run_id)
        self._run = wandb.init(
            dir=str(directory),
            id=run_id,
            name=directory.resolve().name,
            config=dict(recipe),
            resume="allow",
        )

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Take values of one step."""
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        """Write what is still held back."""
        self._run.finish()


class MlflowTracker:
    """MLflow; `MLFLOW_TRACKING_URI` and `MLFLOW_EXPERIMENT_NAME` apply."""

    def __init__(self, directory: Path, recipe: Mapping[str, Any]) -> None:
        self._mlflow = _import("mlflow")
        if not self._continue(_known_runs(directory).get("mlflow")):
            run = self._mlflow.start_run(run_name=directory.resolve().name)
            _keep_run(directory, "mlflow", run.info.run_id)
        self._mlflow.log_dict(dict(recipe), "recipe.json")

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Take values of one step."""
        self._mlflow.log_metrics(dict(values), step=step)

    def close(self) -> None:
        """Write what is still held back."""
        self._mlflow.end_run()

    def _continue(self, run_id: str | None) -> bool:
        if run_id is None:
            return False
        try:
            self._mlflow.start_run(run_id=run_id)
        except self._mlflow.MlflowException:  # deleted, or another server's
            return False
        return True


def _known_runs(directory: Path) -> dict[str, str]:
    path = directory / KNOWN_RUNS
    if not path.exists():
        return {}
    runs = read_object(path)
    if not all(isinstance(run, str) for run in runs.values()):
        raise ConfigError(f"{path} must name a run for each tracker, got {runs!r}; delete it")
    return runs


def _keep_run(directory: Path, tracker: str, run_id: str) -> None:
    runs = _known_runs(directory) | {tracker: run_id}
    write_whole(directory / KNOWN_RUNS, json.dumps(runs).encode())


def _import(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise _missing(name) from error


def _missing(name: str) -> MissingDependency:
    return MissingDependency(
        f"--trackers {name}: the package is not installed; `pip install {name}` adds it"
    )
