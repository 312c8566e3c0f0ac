"""Phrase Recall@k: is one of the k best boxes of a phrase on the phrase's gold box?

Two protocols are in use for phrases with several gold boxes ("two kids"), and they differ by
points, so the name always stands beside the figure: `any-box` counts a hit on any of them,
`merged` asks for the one box around all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.bootstrap import RESAMPLES, Interval, ratio_interval
from schemas.boxes import as_boxes, pairwise_iou
from schemas.errors import ConfigError
from schemas.records import Span, TrainingSample

PROTOCOLS = ("any-box", "merged")
RECALL_AT = (1, 5, 10)
HIT_IOU = 0.5
"""A box hits at this IoU or more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldPhrase:
    """A phrase of a gold caption with its boxes."""

    span: Span
    xyxy: NDArray[np.float64]
    """[number of gold boxes, 4]."""
    noun: str = ""
    """Its head noun, where figures are wanted by noun."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhraseImage:
    """The phrases of one image-caption pair and the boxes proposed for each."""

    phrases: tuple[GoldPhrase, ...]
    ranked: tuple[NDArray[np.float64], ...]
    """For each phrase its proposed boxes [K, 4], best first; [0, 4] where there are none."""


@dataclass(frozen=True, kw_only=True)
class PhraseRecall:
    """Recall over all phrases of a gold set."""

    protocol: str
    num_images: int
    num_phrases: int
    recall: dict[int, Interval]
    """k -> share of phrases with a hit among the k best boxes."""
    upper_bound: Interval
    """Share of phrases with a hit among all of their boxes."""
    chance: dict[int, Interval]
    """k -> what a perfect localiser scores that hands the pair's gold boxes to phrases at random.
    A recall near it knows where things are and not which is which."""


def gold_phrases(sample: TrainingSample) -> tuple[GoldPhrase, ...]:
    """Every span of a sample that names a box, with all of its boxes, in caption order."""
    boxes_of: dict[Span, list[int]] = {}
    for number, spans in enumerate(sample.spans):
        for span in spans:
            boxes_of.setdefault(span, []).append(number)
    boxes = as_boxes(sample.boxes)
    return tuple(GoldPhrase(span=span, xyxy=boxes[boxes_of[span]]) for span in sorted(boxes_of))


def phrase_recall(
    images: Sequence[PhraseImage], *, protocol: str = "any-box", resamples: int = RESAMPLES
) -> PhraseRecall:
    """Recall@1, 5 and 10 of proposed boxes, with the chance floor beside it.

    Raises:
        ConfigError: unknown protocol.
    """
    if protocol not in PROTOCOLS:
        raise ConfigError(f"protocol must be one of {', '.join(PROTOCOLS)}, got {protocol!r}")
    counts = np.array([len(image.phrases) for image in images], dtype=np.float64)
    first_hits = [_first_hits(image, protocol) for image in images]
    floors = [_chance(image, protocol) for image in images]

    def share(values: list[float]) -> Interval:
        return ratio_interval(values, counts, resamples=resamples)

    return PhraseRecall(
        protocol=protocol,
        num_images=len(images),
        num_phrases=int(counts.sum()),
        recall={k: share([float((hits < k).sum()) for hits in first_hits]) for k in RECALL_AT},
        upper_bound=share([float(np.isfinite(hits).sum()) for hits in first_hits]),
        chance={k: share([floor[k] for floor in floors]) for k in RECALL_AT},
    )


def targets(phrase: GoldPhrase, protocol: str) -> NDArray[np.float64]:
    """The boxes that count as a hit: each gold box, or the one around all."""
    if protocol == "any-box" or len(phrase.xyxy) == 0:
        return phrase.xyxy
    low, high = phrase.xyxy[:, :2].min(axis=0), phrase.xyxy[:, 2:].max(axis=0)
    return np.concatenate([low, high])[None]


def _first_hits(image: PhraseImage, protocol: str) -> NDArray[np.float64]:
    """Rank (from 0) of the first hit of each phrase; infinity where none hits."""
    ranks = np.full(len(image.phrases), np.inf)
    for number, (phrase, ranked) in enumerate(zip(image.phrases, image.ranked, strict=True)):
        hits = (pairwise_iou(ranked, targets(phrase, protocol)) >= HIT_IOU).any(axis=1)
        if hits.any():
            ranks[number] = int(hits.argmax())
    return ranks


def _chance(image: PhraseImage, protocol: str) -> dict[int, float]:
    """Expected number of phrases hit by k of the pair's gold boxes, drawn without replacement."""
    expected = dict.fromkeys(RECALL_AT, 0.0)
    if not image.phrases:
        return expected
    pool = np.unique(np.concatenate([phrase.xyxy for phrase in image.phrases]), axis=0)
    for phrase in image.phrases:
        hits = int((pairwise_iou(pool, targets(phrase, protocol)) >= HIT_IOU).any(axis=1).sum())
        for k in RECALL_AT:
            drawn = min(k, len(pool))
            expected[k] += 1 - comb(len(pool) - hits, drawn) / comb(len(pool), drawn)
    return expected
