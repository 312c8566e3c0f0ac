"""Low-rank adapters (LoRA, by peft) for adapting a large network on few images."""

from __future__ import annotations

from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn

from schemas.checked import Count, Share, checked
from schemas.errors import ConfigError, MissingDependency

_FOLDED = ("query_v", "value_v", "out_v")
"""Linear layers of the fusion whose weights are read, not called: an adapter would do nothing."""


@checked(frozen=True, slots=True, kw_only=True)
class LoraOptions:
    """Which linear layers get an adapter; everything else is frozen."""

    targets: tuple[str, ...] = (
        "*.attention.self.query",
        "*.attention.self.value",
        "*.fusion.key_l",
        "*.fusion.value_l",
        "*.attn.qkv",
    )
    """Shell patterns on module names."""
    also: tuple[str, ...] = ("head.*",)
    """Shell patterns of parameters that are trained as they are."""
    rank: Count = 8
    alpha: int = 16
    """The adapter's output is scaled by alpha / rank."""
    dropout: Share = 0.0


def add_lora(model: nn.Module, options: LoraOptions) -> list[str]:
    """Put adapters into a model and freeze the rest; returns the names of the adapted layers.

    Raises:
        MissingDependency: peft is not installed.
        ConfigError: no layer matches, or one that matches cannot have an adapter.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ModuleNotFoundError as error:
        raise MissingDependency(
            "LoRA needs peft; install it with `pip install glipforge[lora]`"
        ) from error
    names = [
        name
        for name, module in model.named_modules()
        if any(fnmatchcase(name, pattern) for pattern in options.targets)
    ]
    if not names:
        raise ConfigError(f"lora.targets {options.targets} match no module of this network")
    for name in names:
        if not isinstance(model.get_submodule(name), nn.Linear):
            raise ConfigError(f"lora.targets: {name!r} is not a linear layer")
        if name.rpartition(".")[2] in _FOLDED:
            raise ConfigError(
                f"lora.targets: {name!r} is folded into others and cannot have an adapter"
            )
    inject_adapter_in_model(
        LoraConfig(
            r=options.rank,
            lora_alpha=options.alpha,
            lora_dropout=options.dropout,
            target_modules=names,
        ),
        model,
    )
    for name, parameter in model.named_parameters():
        if any(fnmatchcase(name, pattern) for pattern in options.also):
            parameter.requires_grad_(True)
    return names


@torch.no_grad()
def merged_state(model: nn.Module) -> dict[str, Tensor]:
    """The state of the same network without adapters, their products added to the weights."""
    from peft.tuners.lora import LoraLayer

    deltas: dict[str, Tensor] = {}
    for name, module in model.named_modules():
        if isinstance(module, LoraLayer):
            delta = module.get_delta_weight("default")  # type: ignore[attr-defined]
            deltas[f"{name}.base_layer.weight"] = delta
    return {
        name.replace(".base_layer.", "."): tensor + deltas[name] if name in deltas else tensor
        for name, tensor in model.state_dict().items()
        if ".lora_" not in name
    }
