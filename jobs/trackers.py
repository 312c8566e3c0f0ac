"""Who plots a training run besides its log: TensorBoard, Weights & Biases, MLflow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from schemas.errors import MissingDependency


def make_trackers(names: Sequence[str], directory: Path, recipe: Mapping[str, Any]) -> tuple:
    """The trackers of a run; each one is configured by its own environment variables.

    Raises:
        MissingDependency: a tracker's package is not installed.
    """
    makers = {"tensorboard": _tensorboard, "wandb": WandbTracker, "mlflow": MlflowTracker}
    return tuple(makers[name](directory, recipe) for name in dict.fromkeys(names))


def _tensorboard(directory: Path, recipe: Mapping[str, Any]) -> Any:
    from model.training.journal import TensorBoardTracker

    return TensorBoardTracker(directory / "tensorboard")


class WandbTracker:
    """Weights & Biases; `WANDB_PROJECT`, `WANDB_MODE` and its other variables apply."""

    def __init__(self, directory: Path, recipe: Mapping[str, Any]) -> None:
        wandb = _import("wandb")
        # The id makes a resumed run continue its curves.
        name = directory.resolve().name
        self._run = wandb.init(
            dir=str(directory), id=name, name=name, config=dict(recipe), resume="allow"
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
        self._mlflow.start_run(run_name=directory.resolve().name)
        self._mlflow.log_dict(dict(recipe), "recipe.json")

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Take values of one step."""
        self._mlflow.log_metrics(dict(values), step=step)

    def close(self) -> None:
        """Write what is still held back."""
        self._mlflow.end_run()


def _import(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise MissingDependency(
            f"--trackers {name}: the package is not installed; `pip install {name}` adds it"
        ) from error
