"""The images with the worst errors, as a page of pictures: what was wrong, what was missed."""

from __future__ import annotations

import base64
import heapq
import io
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from pipeline.evaluation.detected import Detected
from pipeline.evaluation.phrase_recall import HIT_IOU
from pipeline.gold.gold_set import GoldSet
from pipeline.images.decode import ImageLimits, decode_image
from pipeline.images.draw import draw_boxes
from pipeline.images.fetch import read_image_uri
from schemas.boxes import as_boxes, pairwise_iou
from schemas.errors import ConfigError, RecordError
from schemas.records import TrainingSample
from schemas.redaction import page_text

WIDTH = 560
LEAST_SCORE = 0.3
"""Weaker detections are errors that nobody would see."""
_WRONG, _MISSED, _RIGHT = (214, 39, 40), (255, 127, 14), (44, 160, 44)
_STYLE = (
    "body{font:15px system-ui,sans-serif;margin:2em;color:#222}figure{display:inline-block;"
    "margin:0 1.5em 1.5em 0;vertical-align:top;max-width:560px}figcaption{overflow-wrap:anywhere}"
)


@dataclass(frozen=True, kw_only=True)
class ImageErrors:
    """What is wrong in one image.

    wrong: indices of detections that are right of no gold box.
    missed: indices of gold boxes that no detection found.
    weight: how bad: the scores of the wrong ones, and 1 for each that was missed.
    """

    sample: TrainingSample
    wrong: tuple[int, ...]
    missed: tuple[int, ...]
    weight: float


def image_errors(gold: GoldSet, sample: TrainingSample, found: Detected) -> ImageErrors:
    """Match by COCO's rule at IoU 0.5: best scores first, each gold box once, names must agree.

    Detections on regions to ignore, and on federated gold those of categories that nobody looked
    for in the image, are not errors.
    """
    categories = np.asarray(gold.box_categories[sample.sample_id], dtype=np.int64)
    overlap = pairwise_iou(found.xyxy, as_boxes(sample.boxes))
    free = np.ones(len(categories), dtype=bool)
    ignored = gold.ignored.get(sample.sample_id, ())
    judged = {*categories.tolist(), *gold.absent.get(sample.sample_id, ())}
    partly = set(gold.not_exhaustive.get(sample.sample_id, ()))
    wrong = []
    for number in np.argsort(-found.scores, kind="stable").tolist():
        category = int(found.categories[number])
        fits = np.where(free & (categories == category), overlap[number], 0.0)
        if len(fits) and fits.max() >= HIT_IOU:
            free[int(fits.argmax())] = False
            continue
        regions = [box.xyxy for box in ignored if box.category == category]
        is_open = not gold.is_exhaustive and (category not in judged or category in partly)
        is_weak = found.scores[number] < LEAST_SCORE
        if not (is_open or is_weak or _inside(found.xyxy[number], regions)):
            wrong.append(number)
    missed = tuple(np.flatnonzero(free).tolist())
    weight = float(found.scores[wrong].sum()) + len(missed)
    return ImageErrors(sample=sample, wrong=tuple(wrong), missed=missed, weight=weight)


def worst_errors(gold: GoldSet, detected: Mapping[str, Detected], number: int) -> list[ImageErrors]:
    """The images with the heaviest errors, the worst first."""
    samples = (sample for sample in gold.samples if sample.sample_id in detected)
    errors = (image_errors(gold, one, detected[one.sample_id]) for one in samples)
    return heapq.nlargest(number, (one for one in errors if one.weight), key=lambda e: e.weight)


def errors_page(gold: GoldSet, detected: Mapping[str, Detected], title: str, number: int) -> str:
    """The page: an image each, wrong detections red, missed boxes orange, found ones green.

    Raises:
        ConfigError: gold is not of detection.
    """
    if not gold.categories:
        raise ConfigError(f"errors need detection gold, got {gold.format} gold {gold.name!r}")
    worst = worst_errors(gold, detected, number)
    figures = [_figure(gold, one, detected[one.sample.sample_id]) for one in worst]
    head = Markup("<!doctype html><meta charset=utf-8><title>{}</title><style>{}</style>").format(
        title, Markup(_STYLE)
    )
    said = Markup(
        "<h1>{}</h1><p>The {} images with the worst errors on {}: red was said and is not there "
        "(score {} or more), orange is there and was not found, green was found. IoU 0.5.</p>"
    ).format(title, len(figures), gold.name, LEAST_SCORE)
    return page_text(head + said + Markup("").join(figures))


def _figure(gold: GoldSet, one: ImageErrors, found: Detected) -> Markup:
    names, sample = gold.categories, one.sample
    own = gold.box_categories[sample.sample_id]
    wrong = [f"{names[int(found.categories[n])]} {found.scores[n]:.2f}" for n in one.wrong]
    missed = [names[own[n]] for n in one.missed]
    said = Markup("<figcaption>{}<br>wrong: {}<br>missed: {}</figcaption>").format(
        sample.sample_id, ", ".join(wrong) or "-", ", ".join(missed) or "-"
    )
    hit = [n for n in range(len(own)) if n not in one.missed]
    boxes = [
        *(sample.boxes[n] for n in hit),
        *(sample.boxes[n] for n in one.missed),
        *(found.xyxy[n] for n in one.wrong),
    ]
    colors = [_RIGHT] * len(hit) + [_MISSED] * len(missed) + [_WRONG] * len(wrong)
    labels = [*(names[own[n]] for n in hit), *missed, *wrong]
    try:
        image = decode_image(read_image_uri(sample.image_uri), ImageLimits()).array
        picture = draw_boxes(image, boxes, labels, colors=colors)
    except RecordError as error:
        return Markup("<figure><p>{}</p>{}</figure>").format(str(error), said)
    picture.thumbnail((WIDTH, 10 * WIDTH))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=82)
    data = base64.b64encode(buffer.getvalue()).decode()
    return Markup('<figure><img alt="{}" src="data:image/jpeg;base64,{}">{}</figure>').format(
        sample.sample_id, data, said
    )


def _inside(xyxy: NDArray[np.float64], regions: list[tuple[float, float, float, float]]) -> bool:
    """True where half of a box or more is inside of a region, as COCO judges crowds."""
    x0, y0, x1, y1 = (float(v) for v in xyxy)
    area = (x1 - x0) * (y1 - y0)
    return any(
        max(0.0, min(x1, r[2]) - max(x0, r[0])) * max(0.0, min(y1, r[3]) - max(y0, r[1]))
        >= HIT_IOU * area
        for r in regions
    )
