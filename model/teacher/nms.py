"""Non-maximum suppression as the reference's CUDA kernel does it."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.network.box_coder import to_half_open
from schemas.boxes import NMS_BLOCK
from schemas.boxes import nms as boxes_nms


def nms_by_class(
    boxes_inclusive_K4: Tensor,
    scores_K: Tensor,
    labels_K: Tensor,
    iou_threshold: float,
    *,
    limit: int = 0,
) -> Tensor:
    """Indices kept, best score first; boxes of different labels never meet.

    A box goes when its IoU with a better kept one is GREATER than the threshold. Areas count the
    last pixel (+1), which is the plain IoU of half-open boxes.

    Args:
        boxes_inclusive_K4: inclusive xyxy.
        scores_K: any finite numbers.
        labels_K: int64.
        iou_threshold: 0.6 in the reference.
        limit: how many of each label are wanted, the best; more may come. 0: all.
    """
    if len(boxes_inclusive_K4) == 0:
        return labels_K.new_zeros(0)
    boxes = to_half_open(boxes_inclusive_K4.double())
    if boxes.device.type == "cpu":
        # Importing torchvision costs 0.16 GB and a second, which a CPU teacher does without.
        if len(boxes) > NMS_BLOCK:
            return torch.from_numpy(
                _each_label(
                    boxes.numpy(), scores_K.double().numpy(), labels_K.numpy(), iou_threshold, limit
                )
            )
        apart = _apart(boxes, labels_K).numpy()
        return torch.from_numpy(boxes_nms(apart, scores_K.double().numpy(), iou_threshold))
    from torchvision.ops import nms

    return nms(_apart(boxes, labels_K), scores_K.double(), iou_threshold)


def _apart(boxes: Tensor, labels_K: Tensor) -> Tensor:
    """Each label at a place of its own in the plane; float64 leaves the overlaps as they are."""
    extent = boxes.amax() - boxes.amin() + 1
    return boxes + (labels_K.double() * extent)[:, None]


def _each_label(
    boxes: NDArray[np.float64],
    scores: NDArray[np.float64],
    labels: NDArray[np.int64],
    iou_threshold: float,
    limit: int,
) -> NDArray[np.int64]:
    """One label after the other: many boxes of many labels would all be compared otherwise."""
    by_label = np.argsort(labels, kind="stable")
    cuts = np.flatnonzero(np.diff(labels[by_label])) + 1
    kept = np.concatenate(
        [
            own[boxes_nms(boxes[own], scores[own], iou_threshold, limit=limit)]
            for own in np.split(by_label, cuts)
        ]
    )
    kept.sort()
    return kept[np.argsort(-scores[kept], kind="stable")]
