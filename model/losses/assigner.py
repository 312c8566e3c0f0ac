"""Which anchors learn which box: adaptive training sample selection (ATSS, Zhang et al. 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from model.network.box_coder import box_centers

CENTER_MARGIN = 0.01  # pixels that an anchor's centre must be inside its box


class Matches(NamedTuple):
    """The positive anchors, image by image in anchor order, and the box that each learns."""

    image_index_P: Tensor  # int64
    anchor_index_P: Tensor  # int64, into the N anchors
    box_index_P: Tensor  # int64, into the G boxes


@torch.no_grad()
def assign_boxes(
    boxes_inclusive_G4: Tensor,
    anchors_N4: Tensor,
    level_sizes: Sequence[tuple[int, int]],
    *,
    image_of_box_G: Tensor | None = None,
    candidates_per_level: int = 9,
) -> Matches:
    """Match the boxes of one image, or of a batch of images with the same grid, with anchors.

    On each level the anchors nearest to a box's centre are its candidates; a candidate is
    positive where its IoU reaches mean + unbiased standard deviation over the box's candidates
    and its centre is inside the box. An anchor that several boxes want goes to the one with the
    largest IoU.

    Args:
        boxes_inclusive_G4: inclusive xyxy in network-input pixels.
        anchors_N4: all levels, in the order of `level_sizes`.
        level_sizes: (height, width) of each level.
        image_of_box_G: int64, the image that each box is in; default: all in image 0.
        candidates_per_level: or all of a smaller level.
    """
    num_anchors, num_boxes = len(anchors_N4), len(boxes_inclusive_G4)
    counts = [height * width for height, width in level_sizes]
    if sum(counts) != num_anchors:
        raise ValueError(f"{num_anchors} anchors, but the levels have {sum(counts)} positions")
    empty = anchors_N4.new_zeros(0, dtype=torch.int64)
    if num_boxes == 0:
        return Matches(empty, empty, empty)
    boxes, anchors = boxes_inclusive_G4.float(), anchors_N4.float()
    anchor_centers = box_centers(anchors)
    box_centers_G2 = box_centers(boxes)

    candidates = []
    start = 0
    for count in counts:
        level = anchor_centers[start : start + count]
        distance = (level[:, None, :] - box_centers_G2[None]).pow(2).sum(-1).sqrt()
        nearest = distance.topk(min(candidates_per_level, count), dim=0, largest=False).indices
        candidates.append(nearest + start)
        start += count
    candidate_KG = torch.cat(candidates)

    box_of_candidate = torch.arange(num_boxes, device=boxes.device).expand_as(candidate_KG)
    iou_KG = _paired_iou(
        anchors[candidate_KG.reshape(-1)], boxes[box_of_candidate.reshape(-1)]
    ).view_as(candidate_KG)
    threshold_G = iou_KG.mean(0) + iou_KG.std(0)
    centers = anchor_centers[candidate_KG]
    margins = torch.cat([centers - boxes[None, :, :2], boxes[None, :, 2:] - centers], dim=-1)
    positive = (iou_KG >= threshold_G) & (margins.amin(-1) > CENTER_MARGIN)

    # An anchor goes to the box with the best IoU, the first box on a tie: sorted by box, then IoU,
    # then place, each sort keeping the order of the one before.
    box_P, anchor_P, iou_P = box_of_candidate[positive], candidate_KG[positive], iou_KG[positive]
    place_P = anchor_P
    if image_of_box_G is not None:
        place_P = anchor_P + num_anchors * image_of_box_G[box_P]
    order = box_P.argsort(stable=True)
    order = order[iou_P[order].argsort(stable=True, descending=True)]
    order = order[place_P[order].argsort(stable=True)]
    place_P = place_P[order]
    is_first = torch.ones_like(place_P, dtype=torch.bool)
    is_first[1:] = place_P[1:] != place_P[:-1]
    place_P = place_P[is_first]
    return Matches(place_P // num_anchors, place_P % num_anchors, box_P[order][is_first])


def _paired_iou(a: Tensor, b: Tensor) -> Tensor:
    low, high = torch.maximum(a[:, :2], b[:, :2]), torch.minimum(a[:, 2:], b[:, 2:])
    intersection = (high - low + 1).clamp(min=0).prod(-1)
    area_a, area_b = ((boxes[:, 2:] - boxes[:, :2] + 1).prod(-1) for boxes in (a, b))
    return intersection / (area_a + area_b - intersection)
