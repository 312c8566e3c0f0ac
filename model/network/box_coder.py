"""Boxes as the head predicts them: offsets from anchors, with widths counted as `x1 - x0 + 1`.

The network lives in the reference's INCLUSIVE convention (the last pixel belongs to the box);
everything outside it is half-open. `to_half_open` and `to_inclusive` are the only border.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

SHIFT_WEIGHT, SCALE_WEIGHT = 10.0, 5.0
MAX_LOG_SCALE = math.log(1000.0 / 16.0)


def to_half_open(boxes_inclusive: Tensor) -> Tensor:
    """Inclusive xyxy to half-open xyxy, same pixels [..., 4]."""
    return torch.cat([boxes_inclusive[..., :2], boxes_inclusive[..., 2:] + 1], dim=-1)


def to_inclusive(boxes_half_open: Tensor) -> Tensor:
    """Half-open xyxy to inclusive xyxy, same pixels [..., 4]."""
    return torch.cat([boxes_half_open[..., :2], boxes_half_open[..., 2:] - 1], dim=-1)


def box_centers(boxes_inclusive: Tensor) -> Tensor:
    """(x, y) in the middle of the two corners [..., 2], without a half pixel."""
    return (boxes_inclusive[..., :2] + boxes_inclusive[..., 2:]) / 2


def _sides(boxes_inclusive: Tensor) -> Tensor:
    return boxes_inclusive[..., 2:] - boxes_inclusive[..., :2] + 1


def encode_boxes(boxes_inclusive: Tensor, anchors: Tensor) -> Tensor:
    """Offsets [..., 4] that take each anchor to its box: dx, dy, dw, dh times 10, 10, 5, 5."""
    boxes, anchors = boxes_inclusive.float(), anchors.float()
    anchor_sides = _sides(anchors)
    shift = (box_centers(boxes) - box_centers(anchors)) / anchor_sides
    scale = torch.log(_sides(boxes) / anchor_sides)
    return torch.cat([shift * SHIFT_WEIGHT, scale * SCALE_WEIGHT], dim=-1)


def decode_boxes(deltas: Tensor, anchors: Tensor) -> Tensor:
    """Inclusive xyxy [..., 4] from offsets; a side grows at most by 1000 / 16."""
    deltas, anchors = deltas.float(), anchors.float()
    shift, scale = deltas[..., :2] / SHIFT_WEIGHT, deltas[..., 2:] / SCALE_WEIGHT
    anchor_sides = _sides(anchors)
    centers = shift * anchor_sides + box_centers(anchors)
    half = (torch.exp(scale.clamp(max=MAX_LOG_SCALE)) * anchor_sides - 1) * 0.5
    return torch.cat([centers - half, centers + half], dim=-1)


def clip_inclusive(boxes_inclusive: Tensor, size_hw: Tensor) -> Tensor:
    """Corners moved into [0, w - 1] x [0, h - 1].

    Args:
        boxes_inclusive: [..., 4].
        size_hw: height and width of the image, [2], or broadcastable to [..., 2].
    """
    last_xy = size_hw.to(boxes_inclusive).flip(-1) - 1
    return torch.minimum(boxes_inclusive.clamp(min=0), torch.cat([last_xy, last_xy], dim=-1))
