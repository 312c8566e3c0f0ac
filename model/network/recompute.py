"""Large inner values are computed twice instead of kept for the backward pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


class Recomputing(nn.Module):
    """A module that holds much in training: it may forget that until the backward pass."""

    recomputes: bool = True


def set_recomputes(model: nn.Module, recomputes: bool) -> None:
    """Tell all parts of a model whether to save memory or time."""
    for module in model.modules():
        if isinstance(module, Recomputing):
            module.recomputes = recomputes


def recompute(function: Callable[..., Any], *inputs: Any, draws: bool = False) -> Any:
    """`function(*inputs)`; where gradients are wanted, only its inputs wait for the backward pass.

    For steps that are cheap beside the memory of what they hold. Results and gradients are equal.

    Args:
        function: Without side effects.
        draws: It draws random numbers (dropout): the second pass then draws the same.
    """
    if not torch.is_grad_enabled():
        return function(*inputs)
    return checkpoint(function, *inputs, use_reentrant=False, preserve_rng_state=draws)
