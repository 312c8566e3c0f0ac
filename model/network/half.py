"""Where a GPU may take the ways that are for answers in half precision."""

from __future__ import annotations

import torch
from torch import Tensor


def half_without_gradients(device: str, weight: Tensor) -> torch.dtype | None:
    """The half-precision format of products with `weight` on a GPU; None where there is none.

    None as well on a CPU and on Apple's GPUs, which have ways of their own, and while gradients
    are wanted.

    Args:
        device: Its type, as in `torch.device.type`.
        weight: Its own format counts outside of autocast.
    """
    if device in ("cpu", "mps") or torch.is_grad_enabled():
        return None
    autocast = torch.is_autocast_enabled(device)
    dtype = torch.get_autocast_dtype(device) if autocast else weight.dtype
    return dtype if dtype in (torch.bfloat16, torch.float16) else None
