"""Retrieval: does the right caption score best for an image, and the right image for a caption?

The score of a pair is the mean, over the phrases of the caption, of the best score that any box of
the image has for the phrase. Recall@k is the share of queries with a right answer among the k best
(Karpathy and Fei-Fei, arXiv:1412.2306). Equal scores count as drawn at random: of three pairs that
lead with the right one among them, a third of a hit at 1. The field's evaluators leave ties to the
order of the data (BLIP's `itm_eval` by `argsort`, CLIP_benchmark's `recall_at_k` by `topk`), which
gives a teacher that cannot tell anything from nothing to all. Here it has the recall of chance.
Without ties the figures are theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.bootstrap import Interval, ratio_interval

RECALL_AT = (1, 5, 10)
TO_CAPTION, TO_IMAGE = "image to caption", "caption to image"


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieval:
    """Recall in one direction.

    recall: k -> share of queries with a right answer among the k best.
    chance: k -> the same with scores that say nothing.
    """

    direction: str
    queries: int
    candidates: int
    recall: dict[int, Interval]
    chance: dict[int, float]


def pair_score(best: NDArray[np.float32]) -> float:
    """The score of a pair, from the best score of each phrase [phrases]; not empty."""
    return float(np.mean(best, dtype=np.float64))


def retrievals(scores: NDArray[np.floating], image_of: Sequence[int]) -> list[Retrieval]:
    """Recall both ways.

    Args:
        scores: [images, captions].
        image_of: for each caption the image that it belongs to.
    """
    right = np.zeros(scores.shape, bool)
    right[list(image_of), np.arange(len(image_of))] = True
    return [_one_way(TO_CAPTION, scores, right), _one_way(TO_IMAGE, scores.T, right.T)]


def _one_way(direction: str, scores: NDArray[np.floating], right: NDArray[np.bool_]) -> Retrieval:
    queries, candidates = scores.shape
    hits: dict[int, list[float]] = {k: [] for k in RECALL_AT}
    floors: dict[int, list[float]] = {k: [] for k in RECALL_AT}
    for row, own in zip(scores, right, strict=True):
        best = row[own].max()
        ahead = int((row > best).sum())
        tied = row == best
        for k in RECALL_AT:
            hits[k].append(any_drawn(int(tied.sum()), int((tied & own).sum()), k - ahead))
            floors[k].append(any_drawn(candidates, int(own.sum()), k))
    return Retrieval(
        direction=direction,
        queries=queries,
        candidates=candidates,
        recall={k: ratio_interval(hits[k], np.ones(queries)) for k in RECALL_AT},
        chance={k: float(np.mean(floors[k])) for k in RECALL_AT},
    )


def any_drawn(number: int, right: int, draws: int) -> float:
    """Chance that of `number` things, `right` of them right, one is among so many drawn."""
    draws = max(0, min(draws, number))
    return 1.0 - comb(number - right, draws) / comb(number, draws)
