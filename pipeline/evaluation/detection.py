"""Detection figures against gold boxes: AP through pycocotools, and recall of any name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from pipeline.evaluation.average_precision import category_matches, mean_precision
from pipeline.evaluation.bootstrap import RESAMPLES, Interval, drawn_interval, ratio_interval
from pipeline.evaluation.coco_scores import (
    Scores,
    Truth,
    coco_numbers,
    lvis_numbers,
    mean_of_known,
    score,
    truth_of,
)
from pipeline.evaluation.confusion import confusion
from pipeline.evaluation.detected import Detected, best_of_category
from pipeline.evaluation.phrase_recall import HIT_IOU
from pipeline.gold.gold_set import GoldKind, GoldSet
from schemas.boxes import as_boxes, nms, pairwise_iou, xywh_to_xyxy
from schemas.errors import ConfigError

LVIS_DETECTIONS = 300
"""Detections per image of the lvis package."""
FIXED_AP_DETECTIONS = 10_000
AGNOSTIC_AT = 20
AGNOSTIC_NMS_IOU = 0.7
AP_RESAMPLES = 100
CURVE_IOUS = (0.5, 0.75)
COCO, FIXED = "COCO", "fixed AP"


@dataclass(frozen=True, kw_only=True)
class DetectionFigures:
    """COCO's or LVIS's numbers over the images that were asked, and what chance gives."""

    num_images: int
    num_boxes: int
    protocol: str
    """`COCO`, or `fixed AP` on federated gold: the rule of every AP here but `lvis`."""
    ap: Interval
    """Mean AP over IoU 0.50 to 0.95 and all categories with a box."""
    ap50: Interval
    agnostic_recall: Interval
    """Share of gold boxes on which one of the 20 best boxes lies (IoU >= 0.5), whatever its name;
    boxes of different names at one place count once (NMS at IoU 0.7)."""
    chance_ap50: float
    """AP50 of the gold boxes themselves under random names of the set."""
    numbers: dict[str, float]
    """All numbers that the reference program of the protocol prints, by their names."""
    lvis: dict[str, float] = field(default_factory=dict)
    """Federated gold: the numbers of the lvis package, which takes 300 detections an image."""
    by_category: dict[str, float]
    """Category -> AP50, of those with a gold box."""
    ap_by_category: dict[str, float]
    """Category -> AP."""
    recall_by_category: dict[str, float]
    """Category -> mean recall over the IoU thresholds (AR)."""
    by_frequency: dict[str, float]
    """LVIS: `r`, `c`, `f` -> AP of the rare, common and frequent categories with a gold box."""
    confusion: dict[str, dict[str, int]]
    """Gold category -> what its boxes were taken for -> how many; see `confusion.py`."""
    curves: dict[str, list[float]]
    """IoU threshold -> mean precision over the categories at recall 0, 0.01 ... 1."""
    curves_by_category: dict[str, list[float]]
    """Category -> its precision at recall 0, 0.01 ... 1 for IoU 0.50, of those with a gold box."""


def detection_figures(
    gold: GoldSet,
    detected: Mapping[str, Detected],
    *,
    asked: Mapping[str, Sequence[int]] | None = None,
    resamples: int = AP_RESAMPLES,
) -> DetectionFigures:
    """Figures over the images in `detected` (sample_id -> detections; [0, 4] for none).

    Numbers are pycocotools' own. On federated gold (LVIS) AP is the fixed AP of Dave et al. 2021:
    the 10,000 best detections of each category over all images, no limit per image; then what was
    not looked for in an image plays no part. The numbers of the lvis package stand beside it.

    `asked` are the categories that each image was asked for, where not all were: chance draws
    from these.

    Raises:
        ConfigError: the gold set holds no categories, or no image was asked.
    """
    if gold.kind != GoldKind.DETECTION:
        raise ConfigError(f"gold {gold.name!r} is {gold.kind} gold; AP needs detection gold")
    truth = truth_of(gold, detected)
    if not truth.samples:
        raise ConfigError(f"no image of gold {gold.name!r} was asked")
    if gold.is_exhaustive:
        scores = score(gold, truth, [detected[s.sample_id] for s in truth.samples])
        numbers, lvis = coco_numbers(scores), {}
    else:
        best = best_of_category(detected, FIXED_AP_DETECTIONS)
        scores = _federated(gold, truth, best)
        numbers = lvis_numbers(scores, gold.frequencies, None)
        few = {key: one.best(LVIS_DETECTIONS) for key, one in detected.items()}
        lvis = lvis_numbers(_federated(gold, truth, few), gold.frequencies, LVIS_DETECTIONS)
    ap, ap50 = _ap_intervals(scores, resamples)
    chance = score(gold, truth, _random_names(gold, truth, asked or {}), is_short=True)
    return DetectionFigures(
        num_images=len(truth.samples),
        num_boxes=truth.num_boxes,
        protocol=COCO if gold.is_exhaustive else FIXED,
        ap=ap,
        ap50=ap50,
        agnostic_recall=agnostic_recall(
            (sample.boxes, detected[sample.sample_id].xyxy, detected[sample.sample_id].scores)
            for sample in truth.samples
        ),
        chance_ap50=chance.ap(iou=0.5),
        numbers=numbers,
        lvis=lvis,
        by_category=_known(_unique(gold), lambda at: scores.ap(iou=0.5, of=[at])),
        ap_by_category=_known(_unique(gold), lambda at: scores.ap(of=[at])),
        recall_by_category=_known(
            _unique(gold), lambda at: mean_of_known(scores.recall[:, at, 0, -1])
        ),
        by_frequency=_by_frequency(gold, scores),
        confusion=confusion(
            (
                (one.boxes, gold.box_categories[one.sample_id], detected[one.sample_id])
                for one in truth.samples
            ),
            gold.categories,
        ),
        curves={f"{iou:.2f}": _curve(scores, iou) for iou in CURVE_IOUS},
        curves_by_category=_curves(_unique(gold), scores),
    )


def agnostic_recall(images: Iterable[tuple[ArrayLike, ArrayLike, ArrayLike]]) -> Interval:
    """Share of gold boxes under one of an image's 20 best boxes, whatever their names.

    Args:
        images: gold boxes [G, 4], boxes [K, 4] and their scores [K] of each image.
    """
    found, total = [], []
    for gold_xyxy, xyxy, scores in images:
        best = nms(xyxy, scores, AGNOSTIC_NMS_IOU)[:AGNOSTIC_AT]
        overlaps = pairwise_iou(as_boxes(xyxy)[best], gold_xyxy)
        found.append(float((overlaps >= HIT_IOU).any(axis=0).sum()))
        total.append(overlaps.shape[1])
    return ratio_interval(found, total, resamples=RESAMPLES)


def _federated(gold: GoldSet, truth: Truth, detected: Mapping[str, Detected]) -> Scores:
    """The limit has been applied. Federated labels say nothing about what was not looked for in an
    image: such detections are neither right nor wrong, and go."""
    sought = [set(gold.absent.get(sample.sample_id, ())) for sample in truth.samples]
    for one in truth.annotations:
        sought[one["image_id"] - 1].add(one["category_id"] - 1)
    judged = []
    for sample, own in zip(truth.samples, sought, strict=True):
        found = detected[sample.sample_id]
        judged.append(found.take(np.isin(found.categories, np.array(sorted(own), dtype=np.int64))))
    most = max((len(one.scores) for one in judged), default=0)
    return score(gold, truth, judged, limits=(most + 1,))


def _ap_intervals(scores: Scores, resamples: int) -> tuple[Interval, Interval]:
    num_images = len(scores.compared) // max(scores.precision.shape[2], 1)
    rows = (
        scores.compared[at : at + num_images] for at in range(0, len(scores.compared), num_images)
    )
    matches = [category_matches(row, scores.limits[-1]) for row in rows]
    categories = [one for one in matches if one is not None]
    generator = np.random.default_rng(0)
    shares = np.full(num_images, 1 / num_images)
    drawn = [
        mean_precision(categories, generator.multinomial(num_images, shares).astype(np.float64))
        for _ in range(resamples)
    ]
    return (
        drawn_interval(scores.ap(), [float(one.mean()) for one in drawn], is_biased=True),
        drawn_interval(scores.ap(iou=0.5), [float(one[0]) for one in drawn], is_biased=True),
    )


def _known(names: Sequence[str], figure: Callable[[int], float]) -> dict[str, float]:
    values = {name: figure(at) for at, name in enumerate(names)}
    return {name: value for name, value in values.items() if np.isfinite(value)}


def _by_frequency(gold: GoldSet, scores: Scores) -> dict[str, float]:
    groups = np.array(gold.frequencies)
    means = {str(group): scores.ap(of=groups == group) for group in dict.fromkeys(groups)}
    return {group: value for group, value in means.items() if np.isfinite(value)}


def _curve(scores: Scores, iou: float) -> list[float]:
    precision = scores.precision[round((iou - 0.5) / 0.05), :, :, 0, -1]  # [recall, category]
    known = precision[:, (precision > -1).all(axis=0)]
    return [float(value) for value in known.mean(axis=1)] if known.size else []


def _curves(names: Sequence[str], scores: Scores) -> dict[str, list[float]]:
    precision = scores.precision[0, :, :, 0, -1]  # [recall, category]
    return {
        name: [round(float(value), 6) for value in precision[:, at]]
        for at, name in enumerate(names)
        if (precision[:, at] > -1).all()
    }


def _unique(gold: GoldSet) -> list[str]:
    """The names of the categories; those that several have, with their id."""
    often = Counter(gold.categories)
    ids = gold.category_ids or range(len(gold.categories))
    return [
        name if often[name] == 1 else f"{name} (id {number})"
        for name, number in zip(gold.categories, ids, strict=True)
    ]


def _random_names(
    gold: GoldSet, truth: Truth, asked: Mapping[str, Sequence[int]]
) -> list[Detected]:
    generator = np.random.default_rng(0)
    everything = range(len(gold.categories))
    boxes: list[list[list[float]]] = [[] for _ in truth.samples]
    for one in truth.annotations:
        if not one["iscrowd"]:
            boxes[one["image_id"] - 1].append(one["bbox"])
    return [
        Detected(
            xyxy=xywh_to_xyxy(own),
            categories=generator.choice(asked.get(sample.sample_id, everything), size=len(own)),
            scores=generator.random(len(own)),
            xywh=as_boxes(own),
        )
        for sample, own in zip(truth.samples, boxes, strict=True)
    ]
