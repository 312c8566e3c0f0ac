"""Non-maximum suppression as the reference's CUDA kernel does it."""

from __future__ import annotations

import torch
from torch import Tensor

from model.network.box_coder import to_half_open
from schemas.boxes import nms as boxes_nms


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
    return torch.from_numpy(boxes_nms(apart.numpy(), scores_K.double().numpy(), iou_threshold))
