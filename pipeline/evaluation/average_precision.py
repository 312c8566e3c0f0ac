"""AP of drawn images without comparing any box again: for confidence intervals.

pycocotools compares boxes once; here its matches are sorted by score once, and an image that is
drawn k times gives its detections and gold boxes the weight k. Each draw is then two running sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

RECALL_POINTS = np.linspace(0.0, 1.0, 101)


@dataclass(frozen=True, slots=True)
class CategoryMatches:
    """Detections of one category, best first, over all images.

    images: int64 [D], the image of each detection.
    hits, misses: bool [T, D] for T IoU thresholds; both False where a detection is ignored.
    gold: float64 [I], gold boxes of each image.
    """

    images: NDArray[np.int64]
    hits: NDArray[np.bool_]
    misses: NDArray[np.bool_]
    gold: NDArray[np.float64]


def category_matches(compared: Sequence[Any], max_detections: int) -> CategoryMatches | None:
    """The matches of one category from pycocotools' `evalImgs` of it, one entry per image (None
    where the image has neither gold nor detections). None if the category occurs nowhere."""
    entries = [(number, entry) for number, entry in enumerate(compared) if entry is not None]
    if not entries:
        return None
    gold = np.zeros(len(compared))
    for number, entry in entries:
        gold[number] = int((np.asarray(entry["gtIgnore"]) == 0).sum())
    scores = np.concatenate([e["dtScores"][:max_detections] for _, e in entries])
    order = np.argsort(-scores, kind="mergesort")
    matched = np.concatenate([e["dtMatches"][:, :max_detections] for _, e in entries], axis=1)
    ignored = np.concatenate([e["dtIgnore"][:, :max_detections] for _, e in entries], axis=1)
    images = np.concatenate(
        [np.full(len(e["dtScores"][:max_detections]), number) for number, e in entries]
    )
    hits = (matched[:, order] != 0) & (ignored[:, order] == 0)
    misses = (matched[:, order] == 0) & (ignored[:, order] == 0)
    return CategoryMatches(images[order].astype(np.int64), hits, misses, gold)


def mean_precision(
    categories: Sequence[CategoryMatches], times: NDArray[np.float64]
) -> NDArray[np.float64]:
    """AP at every IoU threshold [T], over the categories with a gold box, each image counted
    `times` [I] times. COCO's 101-point interpolation."""
    per_category = [_average_precision(one, times) for one in categories]
    known = [ap for ap in per_category if ap is not None]
    return np.mean(known, axis=0) if known else np.full(1, np.nan)


def _average_precision(
    matches: CategoryMatches, times: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    total = float(matches.gold @ times)
    if total == 0:
        return None
    weights = times[matches.images]
    hits = np.cumsum(matches.hits * weights, axis=1)
    misses = np.cumsum(matches.misses * weights, axis=1)
    found = np.zeros(len(hits))
    if not hits.shape[1]:
        return found
    precision = np.divide(hits, hits + misses, out=np.zeros_like(hits), where=hits + misses > 0)
    # The best precision at this recall or any higher one.
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    for threshold, recall in enumerate(hits / total):
        # Sums of whole numbers: rounding must not move a point to the next detection.
        at = np.searchsorted(recall + 1e-12, RECALL_POINTS, side="left")
        inside = at < len(recall)
        found[threshold] = envelope[threshold, at[inside]].sum() / len(RECALL_POINTS)
    return found
