"""Modulated deformable 3x3 convolution, and what the released weights do with its offsets."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import deform_conv2d

NUM_TAPS = 9


class DeformConv(nn.Module):
    """3x3 convolution whose taps move by offsets (dy, dx) and are scaled by a mask."""

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, 3, 3))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        bound = 1 / math.sqrt(in_channels * NUM_TAPS)
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, x_BCHW: Tensor, offsets_B18HW: Tensor, mask_B9HW: Tensor) -> Tensor:
        """The offsets and the mask have the size of the OUTPUT map."""
        # In half precision the sampling positions would lose whole pixels, so this runs in fp32.
        with torch.autocast(x_BCHW.device.type, enabled=False):
            return deform_conv2d(
                x_BCHW.float(),
                offsets_B18HW.float(),
                self.weight.float(),
                self.bias.float(),
                stride=self.stride,
                padding=1,
                mask=mask_B9HW.float(),
            )


def reread(x_BCHW: Tensor, size: tuple[int, int]) -> Tensor:
    """The first values of each image's flat buffer, read as maps of a smaller size.

    The reference hands a level's offsets to the convolution of the next coarser level, whose
    kernel indexes the buffer by its own, smaller size; the released weights were trained so
    (glip.md section 14.1).
    """
    batch, channels = x_BCHW.shape[:2]
    height, width = size
    return x_BCHW.flatten(1)[:, : channels * height * width].view(batch, channels, height, width)


def resize_offsets(offsets_B18HW: Tensor, size: tuple[int, int]) -> Tensor:
    """Offsets for a coarser map: averaged over its cells, and in its own, larger pixels."""
    height, width = offsets_B18HW.shape[-2:]
    scale = offsets_B18HW.new_tensor([size[0] / height, size[1] / width]).repeat(NUM_TAPS)
    return F.adaptive_avg_pool2d(offsets_B18HW, size) * scale[:, None, None]
