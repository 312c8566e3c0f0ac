"""Weighted box fusion: boxes of several detectors for one thing become one box.

Solovyev, Wang, Gabruseva, "Weighted boxes fusion: Ensembling boxes from different object detection
models" (arXiv:1910.13302), with the arithmetic of their package `ensemble-boxes` (`conf_type` avg,
equal weights), which a test compares. Ours, since theirs brings numba and llvmlite to every worker.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.boxes import as_boxes, pairwise_iou

FUSION_IOU = 0.55
"""Boxes that overlap more are one thing: the paper's and the package's number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fused:
    """K fused boxes, best score first.

    xyxy: float64 [K, 4].
    score: float64 [K]: mean of the members, times the share of the detectors that a cluster has
        boxes for.
    members: for each the detectors (by number) that proposed it.
    """

    xyxy: NDArray[np.float64]
    score: NDArray[np.float64]
    members: tuple[tuple[int, ...], ...]


def fuse_boxes(
    boxes: Sequence[NDArray[np.floating]],
    scores: Sequence[NDArray[np.floating]],
    *,
    iou: float = FUSION_IOU,
) -> Fused:
    """Fuse the boxes of one phrase.

    Args:
        boxes: of each detector [N_t, 4], xyxy.
        scores: of each detector [N_t], above 0.
        iou: a box joins the fused box that it overlaps most, if by more than this.
    """
    number = len(boxes)
    xyxy = np.concatenate([as_boxes(part) for part in boxes])
    score = np.concatenate([np.asarray(part, np.float64) for part in scores])
    owner = np.repeat(np.arange(number), [len(part) for part in scores])
    order = np.argsort(-score, kind="stable")
    xyxy, score, owner = xyxy[order], score[order], owner[order]
    fused = np.zeros((len(xyxy), 4))
    weights, counts = np.zeros(len(xyxy)), np.zeros(len(xyxy))
    members: list[set[int]] = []
    for box, own, who in zip(xyxy, score, owner.tolist(), strict=True):
        place = len(members)
        if place:
            overlap = pairwise_iou(box[None], fused[:place])[0]
            best = int(overlap.argmax())
            place = best if overlap[best] > iou else place
        if place == len(members):
            members.append(set())
        total = weights[place] + own
        fused[place] = (fused[place] * weights[place] + box * own) / total
        weights[place] = total
        counts[place] += 1
        members[place].add(who)
    clusters = len(members)
    counts = counts[:clusters]
    mean = weights[:clusters] / np.maximum(counts, 1)
    final = mean * np.minimum(counts, number) / number
    ranked = np.argsort(-final, kind="stable")
    return Fused(
        xyxy=fused[ranked],
        score=final[ranked],
        members=tuple(tuple(sorted(members[place])) for place in ranked.tolist()),
    )
