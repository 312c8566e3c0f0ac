"""How right pseudo-labels are against gold: precision and recall of (box, phrase) labels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.evaluation.bootstrap import RESAMPLES, Interval, ratio_interval
from pipeline.evaluation.phrase_recall import HIT_IOU, PhraseImage
from schemas.boxes import pairwise_iou


@dataclass(slots=True, kw_only=True)
class NounQuality:
    """Labels on phrases with one head noun."""

    labels: int = 0
    right: int = 0
    """Labels on a gold box of their phrase."""
    gold: int = 0
    found: int = 0
    """Gold links with a label."""

    @property
    def wrong(self) -> int:
        """Labels that are not right."""
        return self.labels - self.right


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
    by_noun: dict[str, NounQuality]
    """Head noun -> its labels."""

    def most_wrong(self, number: int) -> list[tuple[str, NounQuality]]:
        """The nouns with the most wrong labels, at most `number`; none without a wrong one."""
        wrong = [(noun, one) for noun, one in self.by_noun.items() if one.wrong]
        return sorted(wrong, key=lambda item: (-item[1].wrong, item[0]))[:number]


def label_quality(images: Sequence[PhraseImage], *, resamples: int = RESAMPLES) -> LabelQuality:
    """Precision and recall of all proposed boxes; every one counts, whatever its rank."""
    by_noun: defaultdict[str, NounQuality] = defaultdict(NounQuality)
    rows = np.array([_counts(image, by_noun) for image in images], dtype=np.float64).reshape(-1, 5)
    labels, right, gold, found, chance = rows.T
    return LabelQuality(
        num_labels=int(labels.sum()),
        num_gold=int(gold.sum()),
        precision=ratio_interval(right, labels, resamples=resamples),
        recall=ratio_interval(found, gold, resamples=resamples),
        chance_precision=ratio_interval(chance, labels, resamples=resamples),
        by_noun=dict(by_noun),
    )


def _counts(
    image: PhraseImage, by_noun: defaultdict[str, NounQuality]
) -> tuple[float, float, float, float, float]:
    """Labels, right ones, gold links, found ones and chance's right ones; adds to `by_noun`."""
    total, chance = NounQuality(), 0.0
    if image.phrases:
        pool = np.unique(np.concatenate([phrase.xyxy for phrase in image.phrases]), axis=0)
    for phrase, ranked in zip(image.phrases, image.ranked, strict=True):
        hits = pairwise_iou(ranked, phrase.xyxy) >= HIT_IOU
        for one in (total, by_noun[phrase.noun]):
            one.labels += len(ranked)
            one.right += int(hits.any(axis=1).sum())
            one.gold += len(phrase.xyxy)
            one.found += int(hits.any(axis=0).sum())
        share = (pairwise_iou(pool, phrase.xyxy) >= HIT_IOU).any(axis=1).mean()
        chance += len(ranked) * share
    return total.labels, total.right, total.gold, total.found, chance
