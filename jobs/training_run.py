"""Puts a recipe together into a run: data, network, loop, and the model that comes out."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jobs.recipe import Recipe, recipe_json
from jobs.training_sources import load_sources, sources_fingerprint
from schemas.errors import ConfigError
from schemas.fingerprint import require_same

if TYPE_CHECKING:
    from jobs.pretrain import Config
    from model.training.loop import Trainer
    from pipeline.training_set.mixture import TrainingMixture

RECIPE_NAME = "recipe.json"
MODEL_DIRECTORY = "model"


def train_here(config: Config, recipe: Recipe) -> int:
    """Train in this process; returns the exit code."""
    import torch

    if config.threads:
        torch.set_num_threads(config.threads)
    out = config.out
    write_recipe(out, recipe)
    trainer = build_trainer(
        recipe,
        out,
        cache_root=config.cache or out / "cache",
        device=pick_device(config.device),
        loader_processes=config.loader_processes,
        trackers=config.trackers,
        say=print,
    )
    result = trainer.run()
    export_model(trainer, recipe, out)
    losses = ", ".join(f"{name} {value:.4f}" for name, value in result.losses.items())
    print(f"trained to step {result.steps}: {losses}")
    for name, value in result.evaluation.items():
        print(f"  {name}: {value:.4f}")
    print(f"model: {out / MODEL_DIRECTORY}")
    return 0


def write_recipe(out: Path, recipe: Recipe) -> None:
    """Write the run's recipe, or compare it with the one that is there.

    Raises:
        FingerprintMismatch: the directory holds a run of another recipe.
        ConfigError: the directory cannot be written.
    """
    from model.training.checkpoint import write_atomically

    path = out / RECIPE_NAME
    plain = recipe_json(recipe)
    if path.exists():
        require_same(
            _flat(json.loads(path.read_text())),
            _flat(plain),
            where=str(path),
            remedy="Give another --out, or the recipe of this run to continue it.",
        )
        return
    try:
        write_atomically(path, (json.dumps(plain, indent=1) + "\n").encode())
    except OSError as error:
        raise ConfigError(f"--out {out} cannot be written: {error}") from error


def _flat(plain: Mapping[str, Any], prefix: str = "") -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in plain.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found


def pick_device(name: str) -> Any:
    """The torch device that the command line names.

    Raises:
        ConfigError: there is no such device.
    """
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"--device {name!r} is not a device: {error}") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"--device {name}: no GPU can be used here; try --device cpu")
    return device


def read_image(uri: str) -> NDArray[np.uint8]:
    """Pixels of a training image: uint8 RGB [height, width, 3]."""
    from pipeline.images import ImageLimits, decode_image, read_image_uri

    return decode_image(read_image_uri(uri), ImageLimits()).array
