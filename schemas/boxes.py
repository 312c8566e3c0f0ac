"""Box arithmetic on float arrays [N, 4]. The frame is in every name; see `schemas/README.md`."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

NMS_BLOCK = 256
"""Boxes that suppression compares with all that are left at once."""


def as_boxes(boxes: ArrayLike) -> NDArray[np.float64]:
    """`boxes` as float64 [N, 4]; an empty sequence gives [0, 4].

    Raises:
        ValueError: the shape is not [N, 4].
    """
    array = np.asarray(boxes, dtype=np.float64)
    if array.size == 0:
        return array.reshape(0, 4)
    if array.ndim != 2 or array.shape[1] != 4:
        raise ValueError(f"boxes must have the shape [N, 4], got {list(array.shape)}")
    return array


def xyxy_to_xywh(xyxy: ArrayLike) -> NDArray[np.float64]:
    """Corner boxes to COCO's [x, y, width, height], same pixels."""
    boxes = as_boxes(xyxy).copy()
    boxes[:, 2:] -= boxes[:, :2]
    return boxes


def xywh_to_xyxy(xywh: ArrayLike) -> NDArray[np.float64]:
    """COCO's [x, y, width, height] to half-open corners, same pixels."""
    boxes = as_boxes(xywh).copy()
    boxes[:, 2:] += boxes[:, :2]
    return boxes


def xyxy_to_relative_xywh(xyxy: ArrayLike, size_wh: tuple[int, int]) -> NDArray[np.float64]:
    """Absolute corners to FiftyOne's [x, y, width, height] as shares of the image."""
    width, height = size_wh
    return xyxy_to_xywh(xyxy) / np.array([width, height, width, height], dtype=np.float64)


def relative_xywh_to_xyxy(xywh: ArrayLike, size_wh: tuple[int, int]) -> NDArray[np.float64]:
    """FiftyOne's relative [x, y, width, height] to absolute corners."""
    width, height = size_wh
    return xywh_to_xyxy(as_boxes(xywh) * np.array([width, height, width, height]))


def clip_xyxy(xyxy: ArrayLike, size_wh: tuple[int, int]) -> NDArray[np.float64]:
    """Corners moved to the nearest point of the image [0, width] x [0, height]."""
    width, height = size_wh
    boxes = as_boxes(xyxy).copy()
    boxes[:, 0::2] = boxes[:, 0::2].clip(0, width)
    boxes[:, 1::2] = boxes[:, 1::2].clip(0, height)
    return boxes


def box_areas(xyxy: ArrayLike) -> NDArray[np.float64]:
    """Areas [N] in square pixels; 0 for inverted boxes."""
    boxes = as_boxes(xyxy)
    sides = (boxes[:, 2:] - boxes[:, :2]).clip(min=0)
    return np.asarray(sides[:, 0] * sides[:, 1])


def pairwise_iou(a_xyxy: ArrayLike, b_xyxy: ArrayLike) -> NDArray[np.float64]:
    """Intersection over union of every pair, [len(a), len(b)]; 0 where the union is empty."""
    a, b = as_boxes(a_xyxy), as_boxes(b_xyxy)
    # One side after the other: a last axis of two is three times slower.
    left, top, right, bottom = np.ascontiguousarray(b.T)
    width = np.minimum(a[:, 2:3], right) - np.maximum(a[:, 0:1], left)
    height = np.minimum(a[:, 3:4], bottom) - np.maximum(a[:, 1:2], top)
    intersection = width.clip(min=0) * height.clip(min=0)
    union = box_areas(a)[:, None] + box_areas(b)[None, :] - intersection
    return np.asarray(
        np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0)
    )


def nms(
    xyxy: ArrayLike, scores: ArrayLike, iou_threshold: float, *, limit: int = 0
) -> NDArray[np.int64]:
    """Greedy non-maximum suppression: indices kept, best score first (ties: lower index first).

    A box goes when its IoU with a kept one is GREATER than `iou_threshold`.

    Args:
        limit: how many of those kept are wanted, the best; looks no further. 0: all.
    """
    order = np.argsort(-np.asarray(scores, dtype=np.float64), kind="stable")
    boxes = as_boxes(xyxy)[order]
    kept: list[NDArray[np.int64]] = [np.zeros(0, np.int64)]
    found = 0
    left = np.arange(len(boxes))
    while len(left):
        block, left = left[:NMS_BLOCK], left[NMS_BLOCK:]
        over = pairwise_iou(boxes[block], boxes[block]) > iou_threshold
        dead = np.zeros(len(block), bool)
        for place, row in enumerate(over):
            if not dead[place]:
                dead[place + 1 :] |= row[place + 1 :]
        kept.append(block[~dead])
        found += len(kept[-1])
        if len(left) and not 0 < limit <= found:
            left = left[~(pairwise_iou(boxes[kept[-1]], boxes[left]) > iou_threshold).any(0)]
    best = np.concatenate(kept)
    return np.asarray(order[best[:limit] if limit else best], dtype=np.int64)
