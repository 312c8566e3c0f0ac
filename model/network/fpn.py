"""The feature pyramid (docs/glip.md section 5)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class FeaturePyramid(nn.Module):
    """Top-down pyramid over the backbone's maps, then stride-2 levels above it.

    Args:
        in_channels: Channels of the backbone's maps, finest first.
        channels: Channels of every level.
        num_extra_levels: Levels above the deepest map; the second and later read a ReLU of the one
            below.
        dropblock: Drop probability of DropBlock on the merged maps, in training.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int,
        *,
        num_extra_levels: int,
        dropblock: float,
    ) -> None:
        super().__init__()
        self.inner = nn.ModuleList(nn.Conv2d(c, channels, 1) for c in in_channels)
        self.output = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, padding=1) for _ in in_channels
        )
        self.extra = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, stride=2) for _ in range(num_extra_levels)
        )
        self.dropblock = dropblock
        for module in (*self.inner, *self.output, *self.extra):
            nn.init.kaiming_uniform_(module.weight, a=1)
            nn.init.zeros_(module.bias)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Levels [B, channels, h, w], finest first."""
        merged = self.inner[-1](maps[-1])
        levels = [self.output[-1](merged)]
        for number in range(len(maps) - 2, -1, -1):
            lateral = self.inner[number](maps[number])
            merged = lateral + F.interpolate(merged, size=lateral.shape[-2:], mode="nearest")
            if self.training and self.dropblock:
                merged = drop_block(merged, self.dropblock)
            levels.insert(0, self.output[number](merged))
        for number, convolution in enumerate(self.extra):
            source = F.relu(levels[-1]) if number else levels[-1]
            # Padded here: oneDNN's own padding gives wrong bf16 gradients on maps one column wide.
            levels.append(convolution(F.pad(source, (1, 1, 1, 1))))
        return levels


def drop_block(x_BCHW: Tensor, probability: float, block: int = 3) -> Tensor:
    """DropBlock (Ghiasi et al., 2018) with one mask per image, shared over the channels.

    A position is dropped with its 3x3 neighbourhood; what stays is scaled up by the share lost.
    """
    seeds = torch.rand(x_BCHW.shape[0], 1, *x_BCHW.shape[-2:], device=x_BCHW.device)
    dropped = (seeds < probability / block**2).to(x_BCHW.dtype)
    keep = 1 - F.max_pool2d(dropped, block, stride=1, padding=block // 2)
    return x_BCHW * keep * (keep.numel() / keep.sum().clamp(min=1))
