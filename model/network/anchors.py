"""One square anchor for each position of each level (docs/glip.md section 8)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def make_anchors(
    level_sizes: Sequence[tuple[int, int]],
    strides: Sequence[int],
    device: torch.device | str = "cpu",
    *,
    anchor_scale: float = 8.0,
) -> Tensor:
    """Anchors of all levels, row-major, finest level first.

    With the +1 convention an anchor of side a at stride s has its centre at (s - 1) / 2 of its
    cell; its corners are centre +- (a - 1) / 2.

    Args:
        level_sizes: (height, width) of each level.
        strides: Stride of each level in pixels.
        device: Where the result lives.
        anchor_scale: Side in strides.

    Returns:
        float32 [N, 4], inclusive xyxy in network-input pixels.
    """
    levels = []
    for (height, width), stride in zip(level_sizes, strides, strict=True):
        center, half = (stride - 1) / 2, (anchor_scale * stride - 1) / 2
        y = torch.arange(height, device=device, dtype=torch.float32) * stride + center
        x = torch.arange(width, device=device, dtype=torch.float32) * stride + center
        y, x = torch.meshgrid(y, x, indexing="ij")
        levels.append(torch.stack((x - half, y - half, x + half, y + half), dim=-1).reshape(-1, 4))
    return torch.cat(levels)
