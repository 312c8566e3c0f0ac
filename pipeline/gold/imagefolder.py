"""An image folder whose `metadata.jsonl` lists boxes: `boxes: [{bbox: xywh, category, iscrowd}]`.

Hugging Face's object-detection layout, `objects: {bbox: [...], categories: [...]}`, is read too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.gold.checks import CROWD, image_size, join_uri, require, usable_xywh
from pipeline.gold.detection_samples import DetectionImage, detection_set
from pipeline.gold.gold_set import GoldCounts, GoldSet, IgnoredBox
from schemas.errors import DataError


def read_json_lines(path: str) -> Iterator[tuple[str, Any]]:
    """Each line of a JSONL file with its place in words; blank lines are skipped.

    Raises:
        DataError: the file cannot be read, or a line is not JSON.
    """
    try:
        with Path(path).open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield f"{path} line {number}", json.loads(line)
    except OSError as error:
        raise DataError(f"gold file {path!r} cannot be read: {error}") from error
    except ValueError as error:
        raise DataError(f"{path} line {number} is not JSON: {error}") from error


def load_imagefolder(path: str, *, image_root: str = "") -> GoldSet:
    """Boxes of an image folder (its directory or its `metadata.jsonl`). Labels are exhaustive.

    Raises:
        DataError: a row breaks the format.
    """
    metadata = Path(path) if path.endswith(".jsonl") else Path(path) / "metadata.jsonl"
    root = image_root or str(metadata.parent)
    counts, rows = GoldCounts(), list(read_json_lines(str(metadata)))
    objects = [(where, row, _objects(row, where)) for where, row in rows]
    names = sorted({name for _, _, found in objects for _, name, _ in found})
    index_of = {name: index for index, name in enumerate(names)}
    images = []
    for where, row, found in objects:
        file_name = require(row, "file_name", str, where)
        image = DetectionImage(
            sample_id=file_name,
            image_uri=join_uri(root, file_name),
            size_wh=image_size(row, where),
        )
        for bbox, category, is_crowd in found:
            xyxy = usable_xywh(bbox, image.size_wh, counts)
            if xyxy is not None and is_crowd:
                counts.drop(CROWD)
                image.ignored.append(IgnoredBox(xyxy=xyxy, category=index_of[category]))
            elif xyxy is not None:
                image.boxes.append((xyxy, index_of[category]))
        images.append(image)
    return detection_set(
        images,
        name=metadata.parent.name,
        file_format="imagefolder",
        categories=tuple(names),
        is_exhaustive=True,
        counts=counts,
    )


def _objects(row: Any, where: str) -> list[tuple[Any, str, bool]]:
    if isinstance(row, dict) and "objects" in row:
        objects = require(row, "objects", dict, where)
        boxes = require(objects, "bbox", list, f"{where}: objects")
        key = "categories" if "categories" in objects else "category"
        labels = require(objects, key, list, f"{where}: objects")
        if len(boxes) != len(labels):
            raise DataError(
                f"{where}: objects has {len(boxes)} boxes and {len(labels)} {key}; they must agree"
            )
        return [(box, str(label), False) for box, label in zip(boxes, labels, strict=True)]
    found = []
    for number, entry in enumerate(require(row, "boxes", list, where)):
        category = require(entry, "category", str, f"{where}: boxes[{number}]")
        found.append((entry.get("bbox"), category, bool(entry.get("iscrowd"))))
    return found
