"""Non-maximum suppression as the reference's CUDA kernel does it."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.network.box_coder import to_half_open

BLOCK = 256
"""Boxes that are compared with all that are left at once, on a CPU."""


def nms_by_class(
    boxes_inclusive_K4: Tensor, scores_K: Tensor, labels_K: Tensor, iou_threshold: float
) -> Tensor:
    """Indices kept, best score first; boxes of different labels never meet.

    A box goes when its IoU with a better kept one is GREATER than the threshold. Areas count the
    last pixel (+1), which is the plain IoU of half-open boxes.

    Args:
        boxes_inclusive_K4: inclusive xyxy.
        scores_K: any finite numbers.
        labels_K: int64.
        iou_threshold: 0.6 in the reference.
    """
    if len(boxes_inclusive_K4) == 0:
        return labels_K.new_zeros(0)
    # Each label gets a place of its own in the plane; float64 leaves the overlaps as they are.
    boxes = to_half_open(boxes_inclusive_K4.double())
    extent = boxes.amax() - boxes.amin() + 1
    apart = boxes + (labels_K.double() * extent)[:, None]
    if apart.device.type != "cpu":
        from torchvision.ops import nms

        return nms(apart, scores_K.double(), iou_threshold)
    # Importing torchvision costs 0.16 GB and a second, which a CPU teacher does without.
    order = scores_K.argsort(descending=True, stable=True)
    return order[torch.from_numpy(_suppress(apart[order].numpy(), iou_threshold))]


def _suppress(boxes_K4: NDArray[np.float64], iou_threshold: float) -> NDArray[np.int64]:
    """Places kept of half-open boxes that stand in the order of their scores."""
    kept = [np.zeros(0, np.int64)]
    left = np.arange(len(boxes_K4))
    while len(left):
        block, left = left[:BLOCK], left[BLOCK:]
        over = _iou(boxes_K4[block], boxes_K4[block]) > iou_threshold
        dead = np.zeros(len(block), bool)
        for place, row in enumerate(over):
            if not dead[place]:
                dead[place + 1 :] |= row[place + 1 :]
        kept.append(block[~dead])
        left = left[~(_iou(boxes_K4[kept[-1]], boxes_K4[left]) > iou_threshold).any(0)]
    return np.concatenate(kept)


def _iou(a_K4: NDArray[np.float64], b_L4: NDArray[np.float64]) -> NDArray[np.float64]:
    low = np.maximum(a_K4[:, None, :2], b_L4[None, :, :2])
    sides = (np.minimum(a_K4[:, None, 2:], b_L4[None, :, 2:]) - low).clip(min=0)
    shared = sides[..., 0] * sides[..., 1]
    area_K, area_L = ((x[:, 2:] - x[:, :2]).prod(1) for x in (a_K4, b_L4))
    with np.errstate(invalid="ignore"):  # boxes without area overlap nothing
        return shared / (area_K[:, None] + area_L[None] - shared)
