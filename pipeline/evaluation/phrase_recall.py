"""Phrase Recall@k: is one of the k best boxes of a phrase on the phrase's gold box?

Two protocols are in use for phrases with several gold boxes ("two kids"), and they differ by
points, so the name always stands beside the figure: `any-box` counts a hit on any of them,
`merged` asks for the one box around all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import comb

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.bootstrap import RESAMPLES, Interval, ratio_interval
from pipeline.gold.gold_set import GoldSet
from schemas.boxes import as_boxes, pairwise_iou
from schemas.errors import ConfigError
from schemas.records import Span, TrainingSample, Xyxy

ANY_BOX = "any-box"
PROTOCOLS = (ANY_BOX, "merged")
OWN_FRAME, PUBLISHED_FRAME = "pixels from 0", "XML numbers"
"""Where the gold boxes of Flickr30k Entities lie: its XML counts pixels from 1 and includes the
last. MDETR and GLIP take these numbers as corners, and so do the figures they published."""
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
    frame: str = OWN_FRAME
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
    boxes_of = _boxes_by_span(sample, sample.boxes)
    return tuple(GoldPhrase(span=span, xyxy=boxes_of[span]) for span in sorted(boxes_of))


def phrase_recalls(
    images: Sequence[PhraseImage], samples: Sequence[TrainingSample], gold: GoldSet
) -> list[PhraseRecall]:
    """Recall by every protocol; of Flickr30k Entities also in the frame of published figures.

    samples: The gold sample of each image.
    """
    found = [phrase_recall(images, protocol=protocol) for protocol in PROTOCOLS]
    if gold.published_boxes:
        moved = []
        for image, sample in zip(images, samples, strict=True):
            boxes_of = _boxes_by_span(sample, gold.published_boxes[sample.sample_id])
            phrases = (replace(phrase, xyxy=boxes_of[phrase.span]) for phrase in image.phrases)
            moved.append(replace(image, phrases=tuple(phrases)))
        found += [
            replace(phrase_recall(moved, protocol=protocol), frame=PUBLISHED_FRAME)
            for protocol in PROTOCOLS
        ]
    return found


def _boxes_by_span(sample: TrainingSample, xyxy: Sequence[Xyxy]) -> dict[Span, NDArray[np.float64]]:
    numbers: dict[Span, list[int]] = {}
    for number, spans in enumerate(sample.spans):
        for span in spans:
            numbers.setdefault(span, []).append(number)
    boxes = as_boxes(xyxy)
    return {span: boxes[own] for span, own in numbers.items()}


def phrase_recall(
    images: Sequence[PhraseImage], *, protocol: str = ANY_BOX, resamples: int = RESAMPLES
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
    if protocol == ANY_BOX or len(phrase.xyxy) == 0:
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
