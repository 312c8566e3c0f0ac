"""What was detected in an image, and which of it is scored: limits per image and per category."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Detected:
    """Detections in one image, in any order."""

    xyxy: NDArray[np.float64]
    """[K, 4]."""
    categories: NDArray[np.int64]
    """[K], index into the gold set's categories."""
    scores: NDArray[np.float64]
    """[K]."""
    xywh: NDArray[np.float64] | None = None
    """[K, 4] as a results file has them: corners would round their sides."""
    places: NDArray[np.int64] | None = None
    """[K], place in a results file: of equal scores over the images, the first is the better."""

    def take(self, keep: ArrayLike) -> Detected:
        """Some of the detections: a mask [K] or indices."""
        which = np.asarray(keep)
        return Detected(
            xyxy=self.xyxy[which],
            categories=self.categories[which],
            scores=self.scores[which],
            xywh=None if self.xywh is None else self.xywh[which],
            places=None if self.places is None else self.places[which],
        )

    def best(self, number: int) -> Detected:
        """The best of all categories, at most `number`; of equal scores the first."""
        if len(self.scores) <= number:
            return self
        return self.take(np.argsort(-self.scores, kind="stable")[:number])


def best_of_category(
    found: Mapping[str, Detected], number: int, *, of_image: int = 0
) -> dict[str, Detected]:
    """The `number` best detections of each category over all images: the limit of the fixed AP of
    Dave et al. 2021, which also what nobody looked for uses up. Of equal scores the first stays.

    of_image: So many best of each image stay in any case.
    """
    sizes = [len(one.scores) for one in found.values()]
    if not sum(sizes):
        return dict(found)
    categories = np.concatenate([one.categories for one in found.values()])
    scores = np.concatenate([one.scores for one in found.values()])
    if np.bincount(categories).max() <= number:
        return dict(found)
    places = np.arange(len(scores))
    if all(one.places is not None for one in found.values()):
        places = np.concatenate([one.places for one in found.values() if one.places is not None])
    order = np.lexsort((places, -scores, categories))
    ordered = categories[order]
    starts = np.searchsorted(ordered, ordered, side="left")
    keep = np.zeros(len(scores), dtype=bool)
    keep[order[np.arange(len(order)) - starts < number]] = True
    parts = np.split(keep, np.cumsum(sizes)[:-1])
    for one, part in zip(found.values(), parts, strict=True):
        part[np.argsort(-one.scores, kind="stable")[:of_image]] = True
    return {
        sample_id: one.take(part)
        for (sample_id, one), part in zip(found.items(), parts, strict=True)
    }
