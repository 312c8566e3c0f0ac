"""Boxes as the head predicts them: offsets from anchors, with widths counted as `x1 - x0 + 1`.

The network lives in the reference's INCLUSIVE convention (the last pixel belongs to the box);
everything outside it is half-open. `to_half_open` and `to_inclusive` are the only border.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

WEIGHTS = (10.0, 10.0, 5.0, 5.0)
MAX_LOG_SCALE = math.log(1000.0 / 16.0)


def to_half_open(boxes_inclusive: Tensor) -> Tensor:
    """Inclusive xyxy to half-open xyxy, same pixels [..., 4]."""
    return boxes_inclusive + boxes_inclusive.new_tensor((0.0, 0.0, 1.0, 1.0))


def to_inclusive(boxes_half_open: Tensor) -> Tensor:
    """Half-open xyxy to inclusive xyxy, same pixels [..., 4]."""
    return boxes_half_open - boxes_half_open.new_tensor((0.0, 0.0, 1.0, 1.0))


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
    return torch.cat([shift, scale], dim=-1) * anchors.new_tensor(WEIGHTS)


def decode_boxes(deltas: Tensor, anchors: Tensor) -> Tensor:
    """Inclusive xyxy [..., 4] from offsets; a side grows at most by 1000 / 16."""
    deltas, anchors = deltas.float(), anchors.float()
    deltas = deltas / anchors.new_tensor(WEIGHTS)
    anchor_sides = _sides(anchors)
    centers = deltas[..., :2] * anchor_sides + box_centers(anchors)
    half = (torch.exp(deltas[..., 2:].clamp(max=MAX_LOG_SCALE)) * anchor_sides - 1) * 0.5
    return torch.cat([centers - half, centers + half], dim=-1)


def clip_inclusive(boxes_inclusive: Tensor, size_hw: Tensor) -> Tensor:
    """Corners moved into [0, w - 1] x [0, h - 1].

    Args:
        boxes_inclusive: [..., 4].
        size_hw: height and width of the image, [2], or broadcastable to [..., 2].
    """
    limits = (size_hw.to(boxes_inclusive).flip(-1) - 1).repeat_interleave(2, dim=-1)
    # repeat_interleave gives (w, w, h, h); the corners are (x, y, x, y).
    limits = limits[..., [0, 2, 1, 3]]
    return torch.minimum(boxes_inclusive.clamp(min=0), limits)
