"""How right pseudo-labels are against gold: precision and recall of (box, phrase) labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.evaluation.bootstrap import RESAMPLES, Interval, ratio_interval
from pipeline.evaluation.phrase_recall import HIT_IOU, PhraseImage
from schemas.boxes import pairwise_iou


@dataclass(frozen=True, kw_only=True)
class LabelQuality:
    """Labels on phrases that gold knows; labels on other phrases cannot be judged."""

    num_labels: int
    num_gold: int
    """Gold (box, phrase) links."""
    precision: Interval
    """Share of labels on a gold box of their phrase, IoU >= 0.5."""
    recall: Interval
    """Share of gold links with such a label."""
    chance_precision: Interval
    """Precision of gold boxes handed to the same labels at random within each pair."""


def label_quality(images: Sequence[PhraseImage], *, resamples: int = RESAMPLES) -> LabelQuality:
    """Precision and recall of all proposed boxes; every one counts, whatever its rank."""
    rows = np.array([_counts(image) for image in images], dtype=np.float64).reshape(-1, 5)
    labels, right, gold, found, chance = rows.T
    return LabelQuality(
        num_labels=int(labels.sum()),
        num_gold=int(gold.sum()),
        precision=ratio_interval(right, labels, resamples=resamples),
        recall=ratio_interval(found, gold, resamples=resamples),
        chance_precision=ratio_interval(chance, labels, resamples=resamples),
    )


def _counts(image: PhraseImage) -> tuple[float, float, float, float, float]:
    labels = right = gold = found = chance = 0.0
    if not image.phrases:
        return labels, right, gold, found, chance
    pool = np.unique(np.concatenate([phrase.xyxy for phrase in image.phrases]), axis=0)
    for phrase, ranked in zip(image.phrases, image.ranked, strict=True):
        hits = pairwise_iou(ranked, phrase.xyxy) >= HIT_IOU
        labels += len(ranked)
        right += hits.any(axis=1).sum()
        gold += len(phrase.xyxy)
        found += hits.any(axis=0).sum()
        share = (pairwise_iou(pool, phrase.xyxy) >= HIT_IOU).any(axis=1).mean()
        chance += len(ranked) * share
    return labels, right, gold, found, chance
