"""Detection figures against gold boxes: AP through pycocotools, and recall of any name."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.evaluation.average_precision import category_matches, mean_precision
from pipeline.evaluation.bootstrap import RESAMPLES, Interval, drawn_interval, ratio_interval
from pipeline.evaluation.phrase_recall import HIT_IOU
from pipeline.gold.gold_set import GoldKind, GoldSet
from schemas.boxes import as_boxes, box_areas, nms, pairwise_iou, xyxy_to_xywh
from schemas.errors import ConfigError
from schemas.records import TrainingSample

MAX_DETECTIONS = 100
FIXED_AP_DETECTIONS = 10_000
AGNOSTIC_AT = 20
AGNOSTIC_NMS_IOU = 0.7
AP_RESAMPLES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Detected:
    """Detections in one image, in any order."""

    xyxy: NDArray[np.float64]
    """[K, 4]."""
    categories: NDArray[np.int64]
    """[K], index into the gold set's categories."""
    scores: NDArray[np.float64]
    """[K]."""


@dataclass(frozen=True, kw_only=True)
class DetectionFigures:
    """COCO's AP over the images that were asked, and what chance gives."""

    num_images: int
    num_boxes: int
    ap: Interval
    """Mean AP over IoU 0.50 to 0.95 and all categories with a box."""
    ap50: Interval
    agnostic_recall: Interval
    """Share of gold boxes on which one of the 20 best boxes lies (IoU >= 0.5), whatever its name;
    boxes of different names at one place count once (NMS at IoU 0.7)."""
    chance_ap50: float
    """AP50 of the gold boxes themselves under random names of the set."""
    by_category: dict[str, float]
    """Category -> AP50, of those with a gold box."""
    by_frequency: dict[str, float]
    """LVIS: `r`, `c`, `f` -> AP of the rare, common and frequent categories with a gold box."""


def judged_only(gold: GoldSet, sample: TrainingSample, found: Detected) -> Detected:
    """Detections of categories that were looked for in the image; all where labels are exhaustive.

    Federated labels (LVIS) say nothing about the other categories: their detections are neither
    right nor wrong.
    """
    if gold.is_exhaustive:
        return found
    judged = {*gold.box_categories[sample.sample_id], *gold.absent.get(sample.sample_id, ())}
    keep = np.isin(found.categories, np.array(sorted(judged), dtype=np.int64))
    return Detected(
        xyxy=found.xyxy[keep], categories=found.categories[keep], scores=found.scores[keep]
    )


def detection_figures(
    gold: GoldSet,
    detected: Mapping[str, Detected],
    *,
    asked: Mapping[str, Sequence[int]] | None = None,
    resamples: int = AP_RESAMPLES,
) -> DetectionFigures:
    """Figures over the images in `detected` (sample_id -> detections; [0, 4] for none).

    On federated gold (LVIS) AP is the fixed AP of Dave et al. 2021: the 10,000 best detections of
    each category over all images, no limit per image, and what was not looked for plays no part.

    `asked` are the categories that each image was asked for, where not all were: chance draws
    from these.

    Raises:
        ConfigError: the gold set holds no categories, or no image was asked.
    """
    if gold.kind != GoldKind.DETECTION:
        raise ConfigError(f"gold {gold.name!r} is {gold.kind} gold; AP needs detection gold")
    samples = [sample for sample in gold.samples if sample.sample_id in detected]
    if not samples:
        raise ConfigError(f"no image of gold {gold.name!r} was asked")
    judged = [judged_only(gold, s, detected[s.sample_id]) for s in samples]
    evaluated = _evaluate(gold, samples, judged)
    ap, ap50 = _ap_intervals(evaluated, len(samples), resamples)
    return DetectionFigures(
        num_images=len(samples),
        num_boxes=sum(len(sample.boxes) for sample in samples),
        ap=ap,
        ap50=ap50,
        agnostic_recall=agnostic_recall(
            (sample.boxes, detected[sample.sample_id].xyxy, detected[sample.sample_id].scores)
            for sample in samples
        ),
        chance_ap50=_means(_evaluate(gold, samples, _random_names(gold, samples, asked or {})))[1],
        by_category=_by_category(gold, evaluated),
        by_frequency=_by_frequency(gold, evaluated),
    )


def _evaluate(gold: GoldSet, samples: Sequence[TrainingSample], found: Sequence[Detected]) -> Any:
    """A COCOeval that has compared everything; only boxes of all sizes, 100 per image."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    annotations = [
        _entry(number, box, category, False)
        for number, sample in enumerate(samples, start=1)
        for box, category in zip(sample.boxes, gold.box_categories[sample.sample_id], strict=True)
    ] + [
        _entry(number, region.xyxy, region.category, True)
        for number, sample in enumerate(samples, start=1)
        for region in gold.ignored.get(sample.sample_id, ())
    ]
    if not gold.is_exhaustive:
        found = _best_of_category(found, FIXED_AP_DETECTIONS)
    truth = COCO()
    truth.dataset = {
        "info": {},
        "images": [
            {"id": n, "width": s.width, "height": s.height} for n, s in enumerate(samples, 1)
        ],
        "annotations": [a | {"id": n} for n, a in enumerate(annotations, 1)],
        "categories": [{"id": i, "name": name} for i, name in enumerate(gold.categories, 1)],
    }
    results = [
        _entry(number, box, int(category), False) | {"score": float(score)}
        for number, one in enumerate(found, start=1)
        for box, category, score in zip(one.xyxy, one.categories, one.scores, strict=True)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        # An empty list of results cannot be loaded.
        answers = truth.loadRes(results) if results else COCO()
        if not results:
            answers.dataset = truth.dataset | {"annotations": []}
            answers.createIndex()
        evaluation = COCOeval(truth, answers, "bbox")
        evaluation.params.areaRng = [[0, 1e10]]
        evaluation.params.areaRngLbl = ["all"]
        evaluation.params.maxDets = [MAX_DETECTIONS if gold.is_exhaustive else len(results) + 1]
        evaluation.evaluate()
        _ignore_unlabelled(gold, samples, evaluation)
        evaluation.accumulate()
    return evaluation


def _ignore_unlabelled(gold: GoldSet, samples: Sequence[TrainingSample], evaluation: Any) -> None:
    """A detection without a gold box is not an error where not every instance has one."""
    for entry in evaluation.evalImgs:
        if entry is not None:
            partly = gold.not_exhaustive.get(samples[entry["image_id"] - 1].sample_id, ())
            if entry["category_id"] - 1 in partly:
                entry["dtIgnore"] = np.logical_or(entry["dtIgnore"], entry["dtMatches"] == 0)


def _best_of_category(found: Sequence[Detected], number: int) -> list[Detected]:
    """The best detections of each category over all images; ties at the limit stay."""
    categories = np.concatenate([one.categories for one in found])
    scores = np.concatenate([one.scores for one in found])
    floors: dict[int, float] = {}
    for category in np.unique(categories):
        own = scores[categories == category]
        if len(own) > number:
            floors[int(category)] = float(np.partition(own, -number)[-number])
    kept = []
    for one in found:
        low = np.array([floors.get(int(category), 0.0) for category in one.categories])
        keep = one.scores >= low
        kept.append(
            Detected(xyxy=one.xyxy[keep], categories=one.categories[keep], scores=one.scores[keep])
        )
    return kept


def _entry(image_id: int, xyxy: Any, category: int, is_crowd: bool) -> dict[str, Any]:
    box = as_boxes([xyxy])
    return {
        "image_id": image_id,
        "category_id": category + 1,
        "bbox": xyxy_to_xywh(box)[0].tolist(),
        "area": float(box_areas(box)[0]),
        "iscrowd": int(is_crowd),
    }


def _means(evaluation: Any) -> tuple[float, float]:
    """AP and AP50 over the categories with a gold box; NaN without any."""
    precision = evaluation.eval["precision"][:, :, :, 0, 0]  # [IoU, recall, category]
    return _mean(precision), _mean(precision[:1])


def _mean(precision: NDArray[np.float64]) -> float:
    known = precision[precision > -1]
    return float(known.mean()) if known.size else float("nan")


def _ap_intervals(evaluation: Any, num_images: int, resamples: int) -> tuple[Interval, Interval]:
    # evalImgs is a list over categories x images, as there is one area range.
    compared = evaluation.evalImgs
    rows = (compared[at : at + num_images] for at in range(0, len(compared), num_images))
    matches = [category_matches(row, evaluation.params.maxDets[-1]) for row in rows]
    categories = [one for one in matches if one is not None]
    means = _means(evaluation)
    generator = np.random.default_rng(0)
    shares = np.full(num_images, 1 / num_images)
    drawn = [
        mean_precision(categories, generator.multinomial(num_images, shares).astype(np.float64))
        for _ in range(resamples)
    ]
    return (
        drawn_interval(means[0], [float(one.mean()) for one in drawn], is_biased=True),
        drawn_interval(means[1], [float(one[0]) for one in drawn], is_biased=True),
    )


def _by_category(gold: GoldSet, evaluation: Any) -> dict[str, float]:
    precision = evaluation.eval["precision"][0, :, :, 0, 0]
    means = {name: _mean(precision[:, i]) for i, name in enumerate(gold.categories)}
    return {name: value for name, value in means.items() if np.isfinite(value)}


def _by_frequency(gold: GoldSet, evaluation: Any) -> dict[str, float]:
    precision = evaluation.eval["precision"][:, :, :, 0, 0]
    groups = np.array(gold.frequencies)
    means = {group: _mean(precision[:, :, groups == group]) for group in dict.fromkeys(groups)}
    return {str(group): value for group, value in means.items() if np.isfinite(value)}


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


def _random_names(
    gold: GoldSet, samples: Sequence[TrainingSample], asked: Mapping[str, Sequence[int]]
) -> list[Detected]:
    generator = np.random.default_rng(0)
    everything = range(len(gold.categories))
    return [
        Detected(
            xyxy=as_boxes(sample.boxes),
            categories=generator.choice(
                asked.get(sample.sample_id, everything), size=len(sample.boxes)
            ),
            scores=generator.random(len(sample.boxes)),
        )
        for sample in samples
    ]
