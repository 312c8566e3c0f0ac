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
        if x_BCHW.device.type == "cpu":
            return deform_conv_by_rows(
                x_BCHW, offsets_B18HW, mask_B9HW, self.weight, self.bias, stride=self.stride
            )
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


def deform_conv_by_rows(
    x_BCHW: Tensor,
    offsets_B18HW: Tensor,
    mask_B9HW: Tensor,
    weight_OC33: Tensor,
    bias_O: Tensor,
    *,
    stride: int,
) -> Tensor:
    """What torchvision's operator computes, for CPUs: a weighted sum of four rows of channels for
    each tap, then one matrix product.

    Torchvision's CPU kernel walks channel by channel over single numbers, and its backward pass
    is slower still; on rows of 96 channels this is 3 times as fast forward and 8 times backward.
    Under autocast only the matrix product is in half precision: sampling positions would lose
    whole pixels.
    """
    with torch.autocast("cpu", enabled=False):
        samples_MK = _sample_rows(
            x_BCHW.float(), offsets_B18HW.float(), mask_B9HW.float(), stride=stride
        )
    y_MO = F.linear(samples_MK, weight_OC33.permute(0, 2, 3, 1).flatten(1), bias_O)
    size = (len(x_BCHW), *offsets_B18HW.shape[-2:], len(bias_O))
    return y_MO.view(size).permute(0, 3, 1, 2)


def _sample_rows(
    x_BCHW: Tensor, offsets_B18HW: Tensor, mask_B9HW: Tensor, *, stride: int
) -> Tensor:
    """For each output position the channels under its nine taps [B * H * W, 9 * C]."""
    batch, channels, in_height, in_width = x_BCHW.shape
    height, width = offsets_B18HW.shape[-2:]
    device = x_BCHW.device
    tap = torch.arange(3, device=device)
    rows_H = torch.arange(height, device=device) * stride - 1
    columns_W = torch.arange(width, device=device) * stride - 1
    # Taps last, so that the samples of one output stand together: [B, H, W, 9].
    y = offsets_B18HW[:, 0::2].permute(0, 2, 3, 1) + (
        rows_H[:, None, None] + tap.repeat_interleave(3)
    )
    x = offsets_B18HW[:, 1::2].permute(0, 2, 3, 1) + (columns_W[:, None] + tap.repeat(3))
    # A NaN stays in the weights, but must not become an index.
    top, left = (t.detach().nan_to_num(nan=-2.0).floor() for t in (y, x))
    down, right = y - top, x - left
    first_B111 = torch.arange(batch, device=device).view(-1, 1, 1, 1) * (in_height * in_width)
    indices, weights = [], []
    for dy, share_y in ((0, 1 - down), (1, down)):
        for dx, share_x in ((0, 1 - right), (1, right)):
            row, column = top + dy, left + dx
            inside = (row >= 0) & (row < in_height) & (column >= 0) & (column < in_width)
            place = row.clamp(0, in_height - 1) * in_width + column.clamp(0, in_width - 1)
            indices.append(place.long() + first_B111)
            weights.append(share_y * share_x * inside)
    mask_BHW91 = mask_B9HW.permute(0, 2, 3, 1)[..., None]
    samples = F.embedding_bag(
        torch.stack(indices, dim=-1).view(-1, 4),
        x_BCHW.permute(0, 2, 3, 1).reshape(-1, channels),
        per_sample_weights=(torch.stack(weights, dim=-1) * mask_BHW91).view(-1, 4),
        mode="sum",
    )
    return samples.view(-1, NUM_TAPS * channels)


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
