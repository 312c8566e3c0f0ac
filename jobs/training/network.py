"""The network at both ends of a training run: where it starts from, and what is written."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.training.recipe import Recipe, recipe_json
from schemas.errors import ConfigError, reason_of

if TYPE_CHECKING:
    from torch import nn

    from model.config import GlipConfig
    from model.network.glip import Glip
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


def start_weights(model: Glip, recipe: Recipe) -> str:
    """Put the recipe's start into a freshly made model; returns a sentence about it.

    Raises:
        ConfigError: the weights do not fit, with the first difference.
    """
    said = "random weights"
    if recipe.warm_start:
        said = _warm_start(model, recipe.warm_start, partial=recipe.warm_start_partial)
    if recipe.lora is not None:
        from model.training.lora import add_lora

        said += f", adapters in {len(add_lora(model, recipe.lora))} layers"
    if recipe.word_embeddings:
        said += f", word embeddings of {recipe.word_embeddings}"
        _set_word_embeddings(model, Path(recipe.word_embeddings))
    return said


def _warm_start(model: Glip, source: str, *, partial: bool) -> str:
    from model.files.directory import check_state, read_weights
    from model.files.source import resolve_source

    state = read_weights(resolve_source(source))
    own = model.state_dict()
    if not partial:
        check_state(state, own, where=source)
        model.load_state_dict(state)
        return f"weights of {source}"
    fitting = {n: t for n, t in state.items() if n in own and own[n].shape == t.shape}
    if not fitting:
        raise ConfigError(f"warm_start {source!r}: no tensor fits {model.config.preset}")
    model.load_state_dict(fitting, strict=False)
    return f"{len(fitting)} of {len(own)} tensors of {source}"


def _set_word_embeddings(model: Glip, path: Path) -> None:
    import numpy as np
    import torch

    weight = model.text_encoder.bert.embeddings.word_embeddings.weight
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise ConfigError(f"word_embeddings {path} cannot be read: {reason_of(error)}") from error
    if array.shape != tuple(weight.shape):
        raise ConfigError(
            f"word_embeddings {path} has shape {list(array.shape)}, the network needs "
            f"{list(weight.shape)}"
        )
    with torch.no_grad():
        weight.copy_(torch.from_numpy(np.asarray(array, dtype=np.float32)))


def export_model(
    trainer: Trainer,
    model: Glip,
    recipe: Recipe,
    out: Path,
    result: TrainResult,
    sources: Mapping[str, Mapping[str, Any]],
) -> Path:
    """Write the averaged weights as a model directory, with its card and recipe."""
    import torch

    from jobs.training.model_card import model_card
    from model.files.directory import save_pretrained

    directory = out / MODEL_DIRECTORY
    with trainer.averaged():
        save_pretrained(
            _without_adapters(model, recipe), directory, dtype=getattr(torch, recipe.export_dtype)
        )
    card = model_card(
        recipe,
        name=f"{recipe.preset} trained in {out.name}",
        num_parameters=count_parameters(model),
        sources=sources,
        losses=result.losses,
        evaluation=result.evaluation,
        drops=result.drops,
        versions=versions(),
    )
    (directory / "README.md").write_text(card)
    (directory / "recipe.json").write_text(json.dumps(recipe_json(recipe), indent=1) + "\n")
    return directory


def _without_adapters(model: Glip, recipe: Recipe) -> Glip:
    if recipe.lora is None:
        return model
    from model.network.glip import Glip
    from model.training.lora import merged_state

    plain = Glip(model.config)
    plain.load_state_dict(merged_state(model))
    return plain


def count_parameters(model: nn.Module) -> int:
    """Numbers in all parameters, frozen ones included."""
    return sum(parameter.numel() for parameter in model.parameters())


def versions() -> dict[str, str]:
    """Packages that decide the numbers."""
    from importlib.metadata import version

    names = ("glipforge", "torch", "torchvision", "timm", "numpy")
    return {name: version(name) for name in names} | {"python": platform.python_version()}
