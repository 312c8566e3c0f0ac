"""Modulated deformable 3x3 convolution, and what the released weights do with its offsets.

B images, C channels, H W of an output map; M output positions over all maps and images, R input
positions, K = 9 taps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.network.half import half_without_gradients
from model.network.recompute import Recomputing, recompute

NUM_TAPS = 9
CHUNK_BYTES = 8_000_000
"""Without gradients, samples of this size are held at once: they stay in the processor's cache."""
GPU_CHUNK_BYTES = 512_000_000
"""On other devices; small chunks would be thousands of small kernels."""
GRADIENT_CHUNK_BYTES = 64_000_000
"""With gradients: each chunk's backward pass makes a gradient of the whole table."""

Sizes = tuple[tuple[int, int], ...]


class DeformConv(Recomputing):
    """3x3 convolution whose taps move by offsets (dy, dx) and are scaled by a mask."""

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, 3, 3))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        bound = 1 / math.sqrt(in_channels * NUM_TAPS)
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(
        self, maps: Sequence[Tensor], offsets: Sequence[Tensor], masks: Sequence[Tensor]
    ) -> list[Tensor]:
        """Convolve several maps at once.

        Args:
            maps: [B, C, h, w] each.
            offsets: [B, 18, H, W] each, of the size of the OUTPUT map.
            masks: [B, 9, H, W] each.
        """
        device = maps[0].device.type
        half = half_without_gradients(device, self.weight)
        if device != "cpu" and half is None:
            return deform_conv_by_level(
                maps, offsets, masks, self.weight, self.bias, stride=self.stride
            )
        return deform_conv_by_rows(
            maps,
            offsets,
            masks,
            self.weight,
            self.bias,
            stride=self.stride,
            recomputes=self.recomputes,
            table_dtype=half or torch.float32,
        )


def deform_conv_by_level(
    maps: Sequence[Tensor],
    offsets: Sequence[Tensor],
    masks: Sequence[Tensor],
    weight_OC33: Tensor,
    bias_O: Tensor,
    *,
    stride: int,
) -> list[Tensor]:
    """Torchvision's operator, a call for each map, in float32: in half precision it would compute
    the sampling positions in that as well, which would lose whole pixels."""
    from torchvision.ops import deform_conv2d

    with torch.autocast(maps[0].device.type, enabled=False):
        return [
            deform_conv2d(
                x_BCHW.float(),
                offsets_B18HW.float(),
                weight_OC33.float(),
                bias_O.float(),
                stride=stride,
                padding=1,
                mask=mask_B9HW.float(),
            ).to(weight_OC33.dtype)
            for x_BCHW, offsets_B18HW, mask_B9HW in zip(maps, offsets, masks, strict=True)
        ]


def deform_conv_by_rows(
    maps: Sequence[Tensor],
    offsets: Sequence[Tensor],
    masks: Sequence[Tensor],
    weight_OC33: Tensor,
    bias_O: Tensor,
    *,
    stride: int,
    recomputes: bool = True,
    table_dtype: torch.dtype = torch.float32,
) -> list[Tensor]:
    """What torchvision's operator computes, for several maps at once.

    Each tap of each output is a weighted sum of four rows of a table that holds the channels of
    every input position; then one matrix product. Torchvision's CPU kernel walks channel by
    channel over single numbers instead. Sampling positions are float32 whatever the table is:
    in half precision they would lose whole pixels.

    Args:
        table_dtype: Of the samples. Half precision is also that of the product, and halves the
            bytes that are gathered; float32 leaves the product to the weights or autocast.
    """
    batch, device = len(maps[0]), maps[0].device
    in_sizes, out_sizes = _sizes(maps), _sizes(offsets)
    with torch.autocast(device.type, enabled=False):
        table_RC = _rows(maps).to(table_dtype)
        grid = _grid(in_sizes, out_sizes, stride, batch, device)
        places_MK4, shares_MK4 = _corners(_rows(offsets).float(), _rows(masks).float(), grid)
        shares_MK4 = shares_MK4.to(table_dtype)
    weight_OD = weight_OC33.permute(0, 2, 3, 1).flatten(1)
    if table_dtype != torch.float32:  # once, not in every chunk
        weight_OD, bias_O = weight_OD.to(table_dtype), bias_O.to(table_dtype)
    if not torch.is_grad_enabled():
        y_MO = _multiply_in_chunks(table_RC, places_MK4, shares_MK4, weight_OD, bias_O)
    elif not recomputes:
        y_MO = _multiply(table_RC, places_MK4, shares_MK4, weight_OD, bias_O)
    else:
        step = max(64, GRADIENT_CHUNK_BYTES // (4 * weight_OD.shape[1]))
        parts = [
            recompute(_multiply, table_RC, places, shares, weight_OD, bias_O)
            for places, shares in zip(places_MK4.split(step), shares_MK4.split(step), strict=True)
        ]
        y_MO = torch.cat(parts)
    counts = [batch * height * width for height, width in out_sizes]
    return [
        y.view(batch, height, width, -1).permute(0, 3, 1, 2)
        for y, (height, width) in zip(y_MO.split(counts), out_sizes, strict=True)
    ]


class _Grid(NamedTuple):
    """Where each output's window begins in its input map, whose size that is, and its rows."""

    y_MK: Tensor
    x_MK: Tensor
    height_M1: Tensor
    width_M1: Tensor
    first_M1: Tensor


def _sizes(maps: Sequence[Tensor]) -> Sizes:
    return tuple((x.shape[-2], x.shape[-1]) for x in maps)


def _rows(maps: Sequence[Tensor]) -> Tensor:
    return torch.cat([x.permute(0, 2, 3, 1).flatten(0, 2) for x in maps])


@lru_cache(maxsize=16)
def _grid(
    in_sizes: Sizes, out_sizes: Sizes, stride: int, batch: int, device: torch.device
) -> _Grid:
    """Made where it is used and kept there: nothing is sent to a device."""

    def count_to(end: int) -> Tensor:
        return torch.arange(end, device=device)

    tap = count_to(3)
    columns: list[list[Tensor]] = [[], [], [], [], []]
    first = 0
    for (in_height, in_width), (height, width) in zip(in_sizes, out_sizes, strict=True):
        image, row, column = (
            index.flatten()
            for index in torch.meshgrid(
                count_to(batch), count_to(height), count_to(width), indexing="ij"
            )
        )
        count = torch.ones(len(row), 1, device=device)
        columns[0].append((row * stride - 1)[:, None] + tap.repeat_interleave(3))
        columns[1].append((column * stride - 1)[:, None] + tap.repeat(3))
        columns[2].append(count * in_height)
        columns[3].append(count * in_width)
        columns[4].append(first + image[:, None] * in_height * in_width)
        first += batch * in_height * in_width
    y, x, heights, widths, firsts = (torch.cat(parts) for parts in columns)
    return _Grid(y.float(), x.float(), heights, widths, firsts.int())


def _corners(offsets_MD: Tensor, mask_MK: Tensor, grid: _Grid) -> tuple[Tensor, Tensor]:
    """Rows of the table at the four corners around each tap, and their shares of the sample."""
    y_MK, x_MK = offsets_MD[:, 0::2] + grid.y_MK, offsets_MD[:, 1::2] + grid.x_MK
    # A NaN stays in the shares, but must not become a place.
    top, left = (t.detach().nan_to_num(nan=-2.0).floor() for t in (y_MK, x_MK))
    down, right = y_MK - top, x_MK - left
    rows = [
        _inside(top + step, share, grid.height_M1) for step, share in ((0, 1 - down), (1, down))
    ]
    columns = [
        _inside(left + step, share, grid.width_M1) for step, share in ((0, 1 - right), (1, right))
    ]
    rows = [(place * grid.width_M1, share * mask_MK) for place, share in rows]
    corners = [
        ((row + column).int() + grid.first_M1, share_y * share_x)
        for row, share_y in rows
        for column, share_x in columns
    ]
    places, shares = zip(*corners, strict=True)
    return torch.stack(places, -1), torch.stack(shares, -1)


def _inside(place: Tensor, share: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
    """Places beyond the border move onto it and have no share."""
    clamped = place.clamp(min=0).minimum(size - 1)
    return clamped, share * (clamped == place)


def _multiply_in_chunks(
    table_RC: Tensor, places_MK4: Tensor, shares_MK4: Tensor, weight_OD: Tensor, bias_O: Tensor
) -> Tensor:
    """The same as `_multiply`; of the samples there are never more than a chunk."""
    limit = CHUNK_BYTES if table_RC.device.type == "cpu" else GPU_CHUNK_BYTES
    step = max(64, limit // (table_RC.element_size() * weight_OD.shape[1]))
    y_MO = _multiply(table_RC, places_MK4[:step], shares_MK4[:step], weight_OD, bias_O)
    if len(places_MK4) <= step:
        return y_MO
    first_MO, y_MO = y_MO, y_MO.new_empty(len(places_MK4), y_MO.shape[1])
    y_MO[:step] = first_MO
    for start in range(step, len(places_MK4), step):
        rows = slice(start, start + step)
        y_MO[rows] = _multiply(table_RC, places_MK4[rows], shares_MK4[rows], weight_OD, bias_O)
    return y_MO


def _multiply(
    table_RC: Tensor, places_MK4: Tensor, shares_MK4: Tensor, weight_OD: Tensor, bias_O: Tensor
) -> Tensor:
    samples_MD = _sample(table_RC, places_MK4, shares_MK4)
    return F.linear(samples_MD.to(weight_OD.dtype), weight_OD, bias_O)


def _sample(table_RC: Tensor, places_MK4: Tensor, shares_MK4: Tensor) -> Tensor:
    """For each output the channels under its nine taps [M, 9 * C]."""
    if torch.compiler.is_exporting():  # ONNX has no weighted embedding bag
        corners = (
            table_RC[places_MK4[..., corner].long()] * shares_MK4[..., corner, None]
            for corner in range(4)
        )
        return sum(corners, table_RC.new_zeros(())).flatten(1)
    samples = F.embedding_bag(
        places_MK4.view(-1, 4), table_RC, per_sample_weights=shares_MK4.view(-1, 4), mode="sum"
    )
    return samples.view(len(places_MK4), -1)


def reread(x_BCHW: Tensor, size: tuple[int, int]) -> Tensor:
    """The first values of each image's flat buffer, read as maps of a smaller size.

    The reference hands a level's offsets to the convolution of the next coarser level, whose
    kernel indexes the buffer by its own, smaller size; the released weights were trained so
    (docs/glip.md section 14.1).
    """
    batch, channels = x_BCHW.shape[:2]
    height, width = size
    if torch.compiler.is_exporting():  # a graph has to be told the order of the buffer
        x_BCHW = x_BCHW.clone(memory_format=torch.contiguous_format)
    return x_BCHW.flatten(1)[:, : channels * height * width].view(batch, channels, height, width)


def resize_offsets(offsets_B18HW: Tensor, size: tuple[int, int]) -> Tensor:
    """Offsets for a coarser map: averaged over its cells, and in its own, larger pixels."""
    height, width = offsets_B18HW.shape[-2:]
    # Filled where they are: a list of numbers would be sent to the device in every layer.
    y = offsets_B18HW.new_full((1,), size[0] / height)
    x = offsets_B18HW.new_full((1,), size[1] / width)
    scale = torch.cat([y, x]).repeat(NUM_TAPS)
    return F.adaptive_avg_pool2d(offsets_B18HW, size) * scale[:, None, None]


def resize_mask(mask_B9HW: Tensor, size: tuple[int, int]) -> Tensor:
    """The mask for a coarser map: averaged over its cells."""
    return F.adaptive_avg_pool2d(mask_B9HW, size)
