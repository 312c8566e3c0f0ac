"""Detections of any program: a COCO results file, joined to gold by image id and category id."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.detected import Detected
from pipeline.evaluation.detection import detection_figures
from pipeline.evaluation.result import EvaluationResult, ResultCounts
from pipeline.gold.checks import entry_id, finite_numbers
from pipeline.gold.gold_set import GoldKind, GoldSet
from pipeline.gold.json_stream import NotAList, stream_list
from schemas.boxes import as_boxes, xywh_to_xyxy
from schemas.errors import ConfigError, DataError

_FARTHEST = 1e12
"""No picture is larger; areas would overflow."""
_FORM = '[{"image_id": 1, "category_id": 18, "bbox": [x, y, width, height], "score": 0.9}, ...]'


def load_results(path: str, gold: GoldSet) -> tuple[dict[str, Detected], ResultCounts]:
    """The detections of every gold image (sample_id -> detections), and what was left out.

    Ids match as they are, else as text: results of "12" find the image 12.

    Raises:
        ConfigError: there is no such file, the gold is not a COCO or LVIS file, or no result is of
            its images.
        DataError: the file is not a list of results.
    """
    if gold.kind != GoldKind.DETECTION or not gold.image_ids or not gold.category_ids:
        raise ConfigError(
            f"detections need a COCO or LVIS file as gold, for its image ids and category ids; "
            f"got {gold.format} gold {gold.name!r}"
        )
    samples = _as_text_too({one: place for place, one in enumerate(gold.image_ids.values())})
    categories = _as_text_too({category: at for at, category in enumerate(gold.category_ids)})
    if not Path(path).is_file():
        reason = "is a folder, not a file" if Path(path).is_dir() else "does not exist"
        raise ConfigError(f"detections {path!r} {reason}")
    counts = ResultCounts()
    table = _Table()
    try:
        for row in stream_list(path):
            place = counts.results
            counts.results += 1
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
            table.add(sample, category, row["bbox"], float(row["score"]), place)
            counts.taken += 1
    except NotAList as error:
        raise DataError(
            f"{path} must be a list of results, {_FORM}, got {error.value!r:.100}"
        ) from error
    if not counts.taken:
        told = "; ".join(counts.notes(len(gold.samples))) or "it is empty"
        raise ConfigError(f"no result of {path!r} can be judged on gold {gold.name!r}: {told}")
    found = table.by_sample(list(gold.image_ids))
    counts.images_without = len(gold.samples) - len(found)
    nothing = _Table.empty()
    return {one.sample_id: found.get(one.sample_id, nothing) for one in gold.samples}, counts


class _Table:
    """Results in columns: 64 bytes each, where dictionaries take a thousand."""

    def __init__(self) -> None:
        self._samples = array("q")
        self._categories = array("q")
        self._places = array("q")
        self._scores = array("d")
        self._xywh = array("d")

    @classmethod
    def empty(cls) -> Detected:
        """Of an image without any result."""
        return cls()._detected(np.zeros(0, dtype=np.int64))

    def add(
        self, sample: int, category: int, xywh: Sequence[float], score: float, place: int
    ) -> None:
        """Take a result of an image, by the image's number."""
        self._samples.append(sample)
        self._categories.append(category)
        self._places.append(place)
        self._scores.append(score)
        self._xywh.extend(map(float, xywh))

    def by_sample(self, names: Sequence[str]) -> dict[str, Detected]:
        """The detections of each image that has some, in the order of the file."""
        samples = np.frombuffer(self._samples, dtype=np.int64)
        order = np.argsort(samples, kind="stable")
        numbers, starts = np.unique(samples[order], return_index=True)
        parts = np.split(order, starts[1:])
        return {
            names[number]: self._detected(part) for number, part in zip(numbers, parts, strict=True)
        }

    def _detected(self, rows: NDArray[np.int64]) -> Detected:
        xywh = as_boxes(np.frombuffer(self._xywh).reshape(-1, 4)[rows])
        return Detected(
            xyxy=xywh_to_xyxy(xywh),
            categories=np.frombuffer(self._categories, np.int64)[rows],
            scores=np.frombuffer(self._scores)[rows],
            xywh=xywh,
            places=np.frombuffer(self._places, np.int64)[rows],
        )


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
        try:
            entry_id(row, key, "")
        except DataError:
            return f"{key} is not a whole number or text"
    box = finite_numbers(row.get("bbox"))
    if box is None:
        return "bbox is not four finite numbers"
    if max(map(abs, box)) > _FARTHEST:
        return f"bbox is beyond {_FARTHEST:g} pixels"
    value = row.get("score")
    if finite_numbers([value] * 4) is None:
        return "score is not a finite number"
    return ""


def _as_text_too(known: Mapping[int | str, Any]) -> dict[int | str, Any]:
    """Keys as they are; a key is also found by its text, or by its number, where that is free."""
    other = {_other(key): value for key, value in known.items()}
    return {key: value for key, value in other.items() if key is not None} | dict(known)


def _other(key: int | str) -> int | str | None:
    if isinstance(key, int):
        return str(key)
    return int(key) if key.isascii() and key.isdigit() and str(int(key)) == key else None
