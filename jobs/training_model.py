"""The network at both ends of a training run: where it starts from, and what is written."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.recipe import Recipe, recipe_json

if TYPE_CHECKING:
    from torch import nn

    from model.config import GlipConfig
    from model.training.loop import Trainer, TrainResult

MODEL_DIRECTORY = "model"


def network_config(recipe: Recipe) -> GlipConfig:
    """The preset with the recipe's changes.

    Raises:
        ConfigError: the preset or a field is unknown.
    """
    from model.config import GlipConfig, get_preset

    changed = get_preset(recipe.preset).to_dict()
    for name, value in recipe.network.items():
        old = changed.get(name)
        if isinstance(old, dict) and isinstance(value, Mapping):
            value = {**old, **value}
        changed[name] = value
    return GlipConfig.from_dict(changed, where="recipe.network")


def pick_device(name: str) -> Any:
    """The torch device that the command line names.

    Raises:
        ConfigError: there is no such device.
    """
    import torch

    from schemas.errors import ConfigError

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"--device {name!r} is not a device: {error}") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"--device {name}: no GPU can be used here; try --device cpu")
    return device


def export_model(
    trainer: Trainer,
    recipe: Recipe,
    out: Path,
    result: TrainResult,
    sources: Mapping[str, Mapping[str, Any]],
) -> Path:
    """Write the averaged weights as a model directory, with its card and recipe."""
    from model.checkpoint import save_pretrained

    from jobs.model_card import model_card

    directory = out / MODEL_DIRECTORY
    with trainer.averaged() as model:
        save_pretrained(model, directory)
    card = model_card(
        recipe,
        name=f"{recipe.preset} trained in {out.name}",
        num_parameters=count_parameters(trainer.model),
        sources=sources,
        losses=result.losses,
        evaluation=result.evaluation,
        drops=result.drops,
        versions=versions(),
    )
    (directory / "README.md").write_text(card)
    (directory / "recipe.json").write_text(json.dumps(recipe_json(recipe), indent=1) + "\n")
    return directory


def count_parameters(model: nn.Module) -> int:
    """Numbers in all parameters, frozen ones included."""
    return sum(parameter.numel() for parameter in model.parameters())


def versions() -> dict[str, str]:
    """Packages that decide the numbers."""
    from importlib.metadata import version

    names = ("glipforge", "torch", "torchvision", "timm", "transformers", "numpy")
    return {name: version(name) for name in names} | {"python": platform.python_version()}
