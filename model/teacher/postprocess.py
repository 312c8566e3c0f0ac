"""From raw head outputs to boxes with labels, step by step what the reference does.

A label is a set of text positions. Scores of all labels come from one matrix product over the
text positions, for the whole batch at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from model.network.box_coder import clip_inclusive, decode_boxes
from model.outputs import GlipOutput
from model.teacher.nms import nms_by_class
from model.teacher.options import Aggregation, PostprocessOptions


class Detections(NamedTuple):
    """Boxes of one image, best score first.

    boxes_inclusive_K4: network-input pixels, inside the unpadded image.
    labels_K: int64, row of the image's positive map.
    scores_K, token_scores_K, centerness_K: in [0, 1]; score = sqrt(token score x centerness).
    best_scores_L: for each label the best score anywhere, whatever the thresholds; 0 for a label
        without text positions.
    """

    boxes_inclusive_K4: Tensor
    labels_K: Tensor
    scores_K: Tensor
    token_scores_K: Tensor
    centerness_K: Tensor
    best_scores_L: Tensor


def label_scores(
    logits_BNT: Tensor, positive_map_BLT: Tensor, aggregation: Aggregation = "mean"
) -> Tensor:
    """Token score of every position for every label, float32 [B, N, L].

    Args:
        logits_BNT: word-region logits.
        positive_map_BLT: 1 on a label's text positions; a row without a 1 scores 0 everywhere.
        aggregation: over the label's positions.
    """
    mask_BLT = positive_map_BLT > 0
    count_BL = mask_BLT.sum(-1)
    weight_BTL = (mask_BLT / count_BL.clamp(min=1)[..., None]).mT.to(torch.float32)
    logits_BNT = logits_BNT.float()
    # Autocast would round the products: near scores would be equal, and ranked by place.
    with torch.autocast(logits_BNT.device.type, enabled=False):
        if aggregation == "mean":
            return logits_BNT.sigmoid() @ weight_BTL
        if aggregation == "power":
            return (F.logsigmoid(logits_BNT) @ weight_BTL).exp() * (count_BL > 0)[:, None]
    if aggregation == "max":
        return torch.stack(
            [_max_scores(p, m) for p, m in zip(logits_BNT.sigmoid(), mask_BLT, strict=True)]
        )
    raise ValueError(f"aggregation must be mean, max or power, got {aggregation!r}")


def _max_scores(probabilities_NT: Tensor, mask_LT: Tensor) -> Tensor:
    label, position = mask_LT.nonzero().unbind(1)
    scores = probabilities_NT.new_zeros(len(probabilities_NT), len(mask_LT))
    columns = probabilities_NT[:, position]
    return scores.scatter_reduce_(1, label.expand_as(columns), columns, "amax")


def postprocess(
    output: GlipOutput,
    positive_maps: Sequence[Tensor],
    sizes_B2: Tensor,
    options: PostprocessOptions | None = None,
) -> list[Detections]:
    """Boxes of every image of a batch.

    Args:
        output: of the network.
        positive_maps: for each image [labels, T], any number of labels; T may exceed the
            output's.
        sizes_B2: (height, width) of each image without its padding.
        options: numbers; default: the reference's.

    Raises:
        ValueError: a label stands on text positions that the network did not see.
    """
    options = options or PostprocessOptions()
    device = output.logits_BNT.device
    maps = _stack_maps(positive_maps, output.logits_BNT.shape[-1]).to(device)
    token_BNL = label_scores(output.logits_BNT, maps, options.aggregation)
    centerness_BN = output.centerness_BN.float().sigmoid()
    final_BNL = token_BNL * centerness_BN[..., None]
    best_BL = final_BNL.amax(1).sqrt() if maps.shape[1] else final_BNL.sum(1)

    candidate_BNL = torch.where(token_BNL > options.token_threshold, final_BNL, -1.0)
    if options.score_floor > 0:
        candidate_BNL = torch.where(final_BNL >= options.score_floor**2, candidate_BNL, -1.0)
    score_BK, flat_BK = _best_of_levels(candidate_BNL, output.level_sizes, options.max_per_level)
    num_labels = max(maps.shape[1], 1)
    anchor_BK, label_BK = flat_BK // num_labels, flat_BK % num_labels
    sizes = sizes_B2.to(device)
    results = []
    for image, positive_map in enumerate(positive_maps):
        alive = score_BK[image] > 0
        anchor, label = anchor_BK[image, alive], label_BK[image, alive]
        boxes = decode_boxes(output.box_deltas_BN4[image, anchor], output.anchors_N4[anchor])
        detections = Detections(
            clip_inclusive(boxes, sizes[image]),
            label,
            score_BK[image, alive].sqrt(),
            token_BNL[image, anchor, label],
            centerness_BN[image, anchor],
            best_BL[image, : len(positive_map)],
        )
        results.append(suppress(detections, options))
    return results


def _stack_maps(positive_maps: Sequence[Tensor], num_tokens: int) -> Tensor:
    num_labels = max((len(rows) for rows in positive_maps), default=0)
    maps = torch.zeros(len(positive_maps), num_labels, num_tokens)
    for number, rows in enumerate(positive_maps):
        if rows.shape[1] > num_tokens and bool((rows[:, num_tokens:] != 0).any()):
            raise ValueError(
                f"image {number}: a label stands beyond the {num_tokens} text positions that the "
                "network saw"
            )
        width = min(rows.shape[1], num_tokens)
        maps[number, : len(rows), :width] = rows[:, :width]
    return maps


def _best_of_levels(
    candidate_BNL: Tensor, level_sizes: Sequence[tuple[int, int]], limit: int
) -> tuple[Tensor, Tensor]:
    """Scores and positions in the flattened [N x L] of the best candidates of each level."""
    num_labels = candidate_BNL.shape[2]
    scores, positions = [], []
    start = 0
    for height, width in level_sizes:
        stop = start + height * width
        level = candidate_BNL[:, start:stop].flatten(1)
        best = level.topk(min(limit, level.shape[1]), dim=1)
        scores.append(best.values)
        positions.append(best.indices + start * num_labels)
        start = stop
    return torch.cat(scores, 1), torch.cat(positions, 1)


def suppress(detections: Detections, options: PostprocessOptions) -> Detections:
    """Non-maximum suppression of each label, then the limits; best score first."""
    keep = nms_by_class(
        detections.boxes_inclusive_K4,
        detections.scores_K,
        detections.labels_K,
        options.nms_iou,
        limit=options.max_per_label,
    )
    scores = detections.scores_K[keep]
    if options.max_per_label:
        keep = keep[_rank_in_label(detections.labels_K[keep]) < options.max_per_label]
        scores = detections.scores_K[keep]
    limit = options.max_per_image
    if 0 < limit < len(keep):
        # The limit-th best score; whatever equals it stays too.
        keep = keep[scores >= scores.kthvalue(len(keep) - limit + 1).values]
    return Detections(
        detections.boxes_inclusive_K4[keep],
        detections.labels_K[keep],
        detections.scores_K[keep],
        detections.token_scores_K[keep],
        detections.centerness_K[keep],
        detections.best_scores_L,
    )


def _rank_in_label(labels_K: Tensor) -> Tensor:
    """How many boxes of the same label stand before each box."""
    order = labels_K.argsort(stable=True)
    grouped = labels_K[order]
    first = torch.searchsorted(grouped, grouped)
    rank = torch.empty_like(labels_K)
    rank[order] = torch.arange(len(labels_K), device=labels_K.device) - first
    return rank
