"""Activation checkpointing: less memory for a second forward pass through some modules."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from schemas.errors import ConfigError


def recompute_activations(model: nn.Module, patterns: Sequence[str]) -> list[str]:
    """Let the modules of matching names forget their activations until the backward pass.

    Of nested matches only the outermost is wrapped. Random numbers are the same in both passes, so
    losses and gradients are those without it.

    Args:
        model: Changed in place; its parameters and their names are not.
        patterns: Shell patterns on module names; `*` matches dots as well.

    Returns:
        The names of the wrapped modules.

    Raises:
        ConfigError: a pattern matches no module, or one with batch normalisation, whose statistics
            the second pass would count again.
    """
    wrapped: list[str] = []
    used: set[str] = set()
    for name, module in model.named_modules():
        found = [pattern for pattern in patterns if name and fnmatchcase(name, pattern)]
        if not found or isinstance(module, nn.ModuleList):
            continue
        used.update(found)
        if not any(name.startswith(f"{outer}.") for outer in wrapped):
            _refuse_batch_norms(name, module)
            wrapped.append(name)
            _wrap(module)
    for pattern in patterns:
        if pattern not in used:
            names = ", ".join(name for name, _ in model.named_children())
            raise ConfigError(
                f"train.activation_checkpointing: no module matches {pattern!r}; modules are "
                f"{names} and their parts, as in tower.*"
            )
    return wrapped


def _refuse_batch_norms(name: str, module: nn.Module) -> None:
    if any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in module.modules()):
        raise ConfigError(
            f"train.activation_checkpointing: {name!r} has batch normalisation, whose statistics "
            "a second pass would count twice; name other modules, as tower.*"
        )


def _wrap(module: Any) -> None:
    forward = module.forward

    def recomputed(*inputs: Any, **named: Any) -> Any:
        if module.training and torch.is_grad_enabled():
            return checkpoint(forward, *inputs, use_reentrant=False, **named)
        return forward(*inputs, **named)

    module.forward = recomputed
