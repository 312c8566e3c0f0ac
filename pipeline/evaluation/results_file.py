"""Detections of any program: a COCO results file, joined to gold by image id and category id."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.evaluation.detected import Detected
from pipeline.evaluation.detection import detection_figures
from pipeline.evaluation.result import EvaluationResult, ResultCounts
from pipeline.gold.checks import finite_numbers, read_json
from pipeline.gold.gold_set import GoldKind, GoldSet
from schemas.boxes import as_boxes, xywh_to_xyxy
from schemas.errors import ConfigError, DataError

_FORM = '[{"image_id": 1, "category_id": 18, "bbox": [x, y, width, height], "score": 0.9}, ...]'


def load_results(path: str, gold: GoldSet) -> tuple[dict[str, Detected], ResultCounts]:
    """The detections of every gold image (sample_id -> detections), and what was left out.

    Ids match as they are, else as text: results of "12" find the image 12.

    Raises:
        ConfigError: the gold is not a COCO or LVIS file, or no result is of its images.
        DataError: the file is not a list of results.
    """
    if gold.kind != GoldKind.DETECTION or not gold.image_ids or not gold.category_ids:
        raise ConfigError(
            f"detections need a COCO or LVIS file as gold, for its image ids and category ids; "
            f"got {gold.format} gold {gold.name!r}"
        )
    rows = read_json(path)
    if not isinstance(rows, list):
        raise DataError(f"{path} must be a list of results, {_FORM}, got {rows!r:.100}")
    samples = _as_text_too({image_id: sample for sample, image_id in gold.image_ids.items()})
    categories = _as_text_too({category: at for at, category in enumerate(gold.category_ids)})
    counts = ResultCounts(results=len(rows))
    found: defaultdict[str, list[tuple[tuple[float, ...], int, float, int]]] = defaultdict(list)
    for place, row in enumerate(rows):
        reason = _broken(row)
        if reason:
            counts.broken[reason] += 1
            continue
        sample = samples.get(row["image_id"])
        if sample is None:
            counts.unknown_images[str(row["image_id"])] += 1
            continue
        category = categories.get(row["category_id"])
        if category is None:
            counts.unknown_categories[str(row["category_id"])] += 1
            continue
        box = finite_numbers(row["bbox"]) or ()
        found[sample].append((box, category, float(row["score"]), place))
        counts.taken += 1
    if not counts.taken:
        told = "; ".join(counts.notes(len(gold.samples))) or "it is empty"
        raise ConfigError(f"no result of {path!r} can be judged on gold {gold.name!r}: {told}")
    counts.images_without = len(gold.samples) - len(found)
    return {s.sample_id: _detected(found.get(s.sample_id, [])) for s in gold.samples}, counts


def detections_figures(path: str, gold: GoldSet) -> EvaluationResult:
    """COCO's or LVIS's figures of a results file.

    Raises:
        ConfigError: the gold is not a COCO or LVIS file, or no result is of its images.
        DataError: the file is not a list of results.
    """
    detected, counts = load_results(path, gold)
    result = EvaluationResult.of_gold(path, gold)
    result.detection = detection_figures(gold, detected)
    result.results = counts
    result.notes += counts.notes(len(gold.samples))
    return result


def _broken(row: Any) -> str:
    """Why a row is not a result; empty where it is one."""
    if not isinstance(row, dict):
        return "it is not an object"
    for key in ("image_id", "category_id"):
        if not isinstance(row.get(key), int | str) or isinstance(row[key], bool):
            return f"{key} is not a number or text"
    if finite_numbers(row.get("bbox")) is None:
        return "bbox is not four finite numbers"
    value = row.get("score")
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        return "score is not a finite number"
    return ""


def _detected(rows: list[tuple[tuple[float, ...], int, float, int]]) -> Detected:
    xywh = as_boxes([box for box, *_ in rows])
    return Detected(
        xyxy=xywh_to_xyxy(xywh),
        categories=np.array([category for _, category, _, _ in rows], dtype=np.int64),
        scores=np.array([value for _, _, value, _ in rows], dtype=np.float64),
        xywh=xywh,
        places=np.array([place for *_, place in rows], dtype=np.int64),
    )


def _as_text_too(known: Mapping[int | str, Any]) -> dict[int | str, Any]:
    """Keys as they are; a key is also found by its text, or by its number, where that is free."""
    other = {_other(key): value for key, value in known.items()}
    return {key: value for key, value in other.items() if key is not None} | dict(known)


def _other(key: int | str) -> int | str | None:
    if isinstance(key, int):
        return str(key)
    return int(key) if key.isascii() and key.isdigit() and str(int(key)) == key else None
