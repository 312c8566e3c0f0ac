"""What gold boxes are taken for: the name of the best detection on each."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from pipeline.evaluation.detected import Detected
from pipeline.evaluation.phrase_recall import HIT_IOU
from schemas.boxes import pairwise_iou

NOT_FOUND = "(not found)"


def confusion(
    images: Iterable[tuple[ArrayLike, Sequence[int], Detected]], names: Sequence[str]
) -> dict[str, dict[str, int]]:
    """Gold category -> name -> boxes: for each gold box the category of the detection with the
    highest score among those that overlap it with IoU 0.5 or more, or `(not found)`.

    Args:
        images: gold boxes [G, 4], their categories [G] and the detections of each image.
    """
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for xyxy, categories, found in images:
        order = np.argsort(-found.scores, kind="stable")
        hits = pairwise_iou(found.xyxy[order], xyxy) >= HIT_IOU  # [detections, gold]
        for number, category in enumerate(categories):
            on = np.flatnonzero(hits[:, number])
            said = names[int(found.categories[order[on[0]]])] if len(on) else NOT_FOUND
            counts[names[category]][said] += 1
    return {name: dict(own.most_common()) for name, own in sorted(counts.items())}
