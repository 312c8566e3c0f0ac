"""pycocotools' COCOeval over a gold set: the numbers of COCO and LVIS, as their programs give them.

Gold of a COCO or LVIS file is read from the file again, box by box as it stands there: a box may
leave its image, and its area is the area of its mask. Images go in the order of their ids, which
decides between equal scores.
"""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.detected import Detected
from pipeline.gold.checks import finite_numbers, is_set
from pipeline.gold.gold_set import GoldSet
from pipeline.gold.json_stream import stream_object
from schemas.boxes import as_boxes, box_areas, xyxy_to_xywh
from schemas.records import TrainingSample

AREAS = ("all", "small", "medium", "large")
_SIDES = {"all": (0, 1e5), "small": (0, 32), "medium": (32, 96), "large": (96, 1e5)}
COCO_LIMITS = (1, 10, 100)
"""Detections per image and category."""


@dataclass(frozen=True, kw_only=True)
class Truth:
    """Gold boxes of some images in pycocotools' form."""

    samples: tuple[TrainingSample, ...]
    """In the order of their image ids; the id here is the place, from 1."""
    annotations: list[dict[str, Any]]
    num_boxes: int
    """Without crowd regions."""


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What one run of COCOeval measured."""

    precision: NDArray[np.float64]
    """[IoU thresholds, 101 recalls, categories, areas, limits]; -1 where there is no gold box."""
    recall: NDArray[np.float64]
    """[IoU thresholds, categories, areas, limits]."""
    compared: list[Any]
    """COCOeval's `evalImgs` of all sizes: categories x images, None without gold and detection."""
    limits: tuple[int, ...]

    def ap(self, *, iou: float | None = None, area: str = "all", of: Any = slice(None)) -> float:
        """Mean precision at the last limit over some categories; NaN where there is no gold."""
        values = self.precision[:, :, :, AREAS.index(area), -1]
        if iou is not None:
            values = values[[round((iou - 0.5) / 0.05)]]
        return mean_of_known(values[:, :, of])

    def ar(self, *, limit: int = -1, area: str = "all") -> float:
        """Mean recall over IoU thresholds and categories at `limits[limit]`."""
        return mean_of_known(self.recall[:, :, AREAS.index(area), limit])


def mean_of_known(values: NDArray[np.float64]) -> float:
    """The mean of what was measured (-1 was not); NaN without any."""
    known = values[values > -1]
    return float(known.mean()) if known.size else float("nan")


def truth_of(gold: GoldSet, wanted: Container[str]) -> Truth:
    """The gold boxes of the samples whose id is wanted.

    Raises:
        DataError: the file of the gold set is not what it was when it was loaded.
    """
    samples = [sample for sample in gold.samples if sample.sample_id in wanted]
    if gold.image_ids:
        ids = gold.image_ids
        samples.sort(key=lambda s: (isinstance(ids[s.sample_id], str), ids[s.sample_id]))
    found = _of_file(gold, samples) if gold.path else _of_samples(gold, samples)
    annotations = [one | {"id": number} for number, one in enumerate(found, start=1)]
    num_boxes = sum(not one["iscrowd"] for one in annotations)
    return Truth(samples=tuple(samples), annotations=annotations, num_boxes=num_boxes)


def score(
    gold: GoldSet,
    truth: Truth,
    found: Sequence[Detected],
    *,
    limits: tuple[int, ...] = COCO_LIMITS,
    is_short: bool = False,
) -> Scores:
    """Compare detections [one for each sample of the truth] with the gold boxes.

    limits: Detections per image and category, rising.
    is_short: Only IoU 0.5 and boxes of all sizes.
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    areas = AREAS[:1] if is_short else AREAS
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(
            _indexed(COCO(), gold, truth, truth.annotations),
            _indexed(COCO(), gold, truth, list(_results(found))),
            "bbox",
        )
        evaluation.params.areaRng = [
            [low**2, high**2] for low, high in (_SIDES[area] for area in areas)
        ]
        evaluation.params.areaRngLbl = list(areas)
        evaluation.params.maxDets = list(limits)
        if is_short:
            evaluation.params.iouThrs = np.array([0.5])
        evaluation.evaluate()
        _ignore_unlabelled(gold, truth, evaluation)
        evaluation.accumulate()
    images, step = len(truth.samples), len(truth.samples) * len(areas)
    compared = evaluation.evalImgs
    return Scores(
        precision=evaluation.eval["precision"],
        recall=evaluation.eval["recall"],
        compared=[c for at in range(0, len(compared), step) for c in compared[at : at + images]],
        limits=limits,
    )


def coco_numbers(scores: Scores) -> dict[str, float]:
    """COCO's twelve numbers by their names; NaN where there is no gold box of that size."""
    few, some, many = scores.limits
    return {
        **_precisions(scores),
        f"AR@{few}": scores.ar(limit=0),
        f"AR@{some}": scores.ar(limit=1),
        f"AR@{many}": scores.ar(),
        f"AR@{many} small": scores.ar(area="small"),
        f"AR@{many} medium": scores.ar(area="medium"),
        f"AR@{many} large": scores.ar(area="large"),
    }


def _precisions(scores: Scores) -> dict[str, float]:
    """The six numbers that COCO and LVIS share."""
    return {
        "AP": scores.ap(),
        "AP50": scores.ap(iou=0.5),
        "AP75": scores.ap(iou=0.75),
        "AP small": scores.ap(area="small"),
        "AP medium": scores.ap(area="medium"),
        "AP large": scores.ap(area="large"),
    }


def lvis_numbers(scores: Scores, frequencies: Sequence[str], limit: int | None) -> dict[str, float]:
    """LVIS's numbers by their names; `limit` is the one per image, None where there is none."""
    at = "" if limit is None else f"@{limit}"
    groups = np.array(frequencies)
    return {
        **_precisions(scores),
        **{
            f"AP {name}": scores.ap(of=groups == letter)
            for letter, name in (("r", "rare"), ("c", "common"), ("f", "frequent"))
            if len(groups)
        },
        f"AR{at}": scores.ar(),
        f"AR{at} small": scores.ar(area="small"),
        f"AR{at} medium": scores.ar(area="medium"),
        f"AR{at} large": scores.ar(area="large"),
    }


def _of_file(gold: GoldSet, samples: Sequence[TrainingSample]) -> Iterator[dict[str, Any]]:
    numbers = {gold.image_ids[sample.sample_id]: n for n, sample in enumerate(samples, start=1)}
    categories = {category: n for n, category in enumerate(gold.category_ids)}
    for key, number, entry in stream_object(gold.path):
        if key != "annotations" or number is None:
            continue
        image, category = numbers.get(entry["image_id"]), categories.get(entry["category_id"])
        xywh = finite_numbers(entry.get("bbox"))
        if image is None or category is None or xywh is None:
            continue
        yield {
            "image_id": image,
            "category_id": category + 1,
            "bbox": list(xywh),
            "area": _area(entry.get("area"), xywh),
            # LVIS knows no crowds; its own program does not look at the flag.
            "iscrowd": int(gold.is_exhaustive and is_set(entry, "iscrowd", gold.path)),
        }


def _area(given: Any, xywh: tuple[float, ...]) -> float:
    """Of the mask; where a file does not say it, of the box."""
    try:
        area = float(given)
    except (TypeError, ValueError, OverflowError):
        area = math.nan
    return area if math.isfinite(area) else xywh[2] * xywh[3]


def _of_samples(gold: GoldSet, samples: Sequence[TrainingSample]) -> Iterator[dict[str, Any]]:
    for number, sample in enumerate(samples, start=1):
        own = zip(sample.boxes, gold.box_categories[sample.sample_id], strict=True)
        ignored = gold.ignored.get(sample.sample_id, ())
        for xyxy, category, is_crowd in (
            *((xyxy, category, 0) for xyxy, category in own),
            *((region.xyxy, region.category, 1) for region in ignored),
        ):
            box = as_boxes([xyxy])
            yield {
                "image_id": number,
                "category_id": category + 1,
                "bbox": xyxy_to_xywh(box)[0].tolist(),
                "area": float(box_areas(box)[0]),
                "iscrowd": is_crowd,
            }


def _results(found: Iterable[Detected]) -> Iterator[dict[str, Any]]:
    number = 0
    for image, one in enumerate(found, start=1):
        xywh = xyxy_to_xywh(one.xyxy) if one.xywh is None else one.xywh
        for box, category, value in zip(
            xywh.tolist(), one.categories.tolist(), one.scores.tolist(), strict=True
        ):
            number += 1
            yield {
                "id": number,
                "image_id": image,
                "category_id": category + 1,
                "bbox": box,
                "area": box[2] * box[3],
                "iscrowd": 0,
                "score": value,
            }


def _indexed(coco: Any, gold: GoldSet, truth: Truth, annotations: list[dict[str, Any]]) -> Any:
    coco.dataset = {
        "info": {},
        "images": [
            {"id": n, "width": s.width, "height": s.height} for n, s in enumerate(truth.samples, 1)
        ],
        "annotations": annotations,
        "categories": [{"id": i, "name": name} for i, name in enumerate(gold.categories, 1)],
    }
    coco.createIndex()
    return coco


def _ignore_unlabelled(gold: GoldSet, truth: Truth, evaluation: Any) -> None:
    """A detection without a gold box is not an error where not every instance has one."""
    partly: Mapping[int, tuple[int, ...]] = {
        number: gold.not_exhaustive.get(sample.sample_id, ())
        for number, sample in enumerate(truth.samples, start=1)
    }
    for entry in evaluation.evalImgs:
        if entry is not None and entry["category_id"] - 1 in partly[entry["image_id"]]:
            entry["dtIgnore"] = np.logical_or(entry["dtIgnore"], entry["dtMatches"] == 0)
