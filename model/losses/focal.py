"""Sigmoid focal loss (Lin et al. 2017) for targets that are nearly all zero.

The loss of a dense target matrix is computed as "every target is 0" over everything, plus a
correction for the few entries that are 1: the backward pass then keeps one matrix, not six.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

FOCAL_ALPHA = 0.25
FOCAL_GAMMA = 2


def focal_zero(logits: Tensor) -> Tensor:
    """Loss of each entry whose target is 0: (1 - alpha) p^2 softplus(x)."""
    return (1 - FOCAL_ALPHA) * logits.sigmoid() ** FOCAL_GAMMA * F.softplus(logits)


def focal_one(logits: Tensor) -> Tensor:
    """Loss of each entry whose target is 1: alpha (1 - p)^2 softplus(-x)."""
    return FOCAL_ALPHA * (-logits).sigmoid() ** FOCAL_GAMMA * F.softplus(-logits)


class _FocalZeroSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits_BNT: Tensor, weight_BT: Tensor) -> Tensor:
        # The slope is found along with the value: it is kept instead of the logits, and softplus,
        # which costs more than all the rest, is computed once.
        p, softplus = logits_BNT.sigmoid(), F.softplus(logits_BNT)
        weight_B1T = ((1 - FOCAL_ALPHA) * weight_BT)[:, None]
        p_squared = p * p
        total = ((p_squared * softplus).sum(1, keepdim=True) * weight_B1T).sum()
        # d/dx p^2 softplus(x) = p^2 (2 (1 - p) softplus(x) + p)
        slope = softplus.mul_(1 - p).mul_(2).add_(p).mul_(p_squared).mul_(weight_B1T)
        ctx.save_for_backward(slope)
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (slope,) = ctx.saved_tensors
        return slope * grad, None


def focal_zero_sum(logits_BNT: Tensor, weight_BT: Tensor) -> Tensor:
    """Sum of `focal_zero` over all entries, each text position weighted."""
    return _FocalZeroSum.apply(logits_BNT, weight_BT)
