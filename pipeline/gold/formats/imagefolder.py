"""An image folder whose metadata lists boxes: `boxes: [{bbox: xywh, category, iscrowd}]`.

Hugging Face's object-detection layout, `objects: {bbox: [...], categories: [...]}`, is read too,
also as AutoTrain takes it (numbers as categories, no sizes). The metadata is `metadata.jsonl`,
`metadata.csv` with the boxes as JSON in their cells, or `metadata.parquet`.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.gold.checks import (
    CROWD,
    image_size,
    join_uri,
    read_json_lines,
    require,
    usable_xywh,
)
from pipeline.gold.class_names import hugging_face_names, read_class_names
from pipeline.gold.detection_samples import DetectionImage, named_detection_set
from pipeline.gold.formats.objects import listed_objects, object_name
from pipeline.gold.formats.tables import parquet_rows
from pipeline.gold.gold_set import GoldCounts, GoldSet, IgnoredBox
from pipeline.gold.opened import READ_ERRORS, bare_suffix, opened_text
from pipeline.gold.picture_sizes import NO_SIZE, picture_size
from schemas.errors import DataError, reason_of

METADATA_NAMES = ("metadata.jsonl", "metadata.csv", "metadata.parquet")
"""As Hugging Face's image folders have them. Of several in a folder the first is read."""


def load_imagefolder(
    path: str, *, image_root: str = "", label_map: str = "", counts: GoldCounts | None = None
) -> GoldSet:
    """Boxes of an image folder (its directory or its metadata file). Labels are exhaustive.

    Categories that are numbers get their names from `label_map`, else from the `class_label` of the
    folder's README.md. Sizes that the rows lack are read from the images.

    Raises:
        DataError: a row breaks the format, or not one says anything of boxes.
    """
    files = _metadata_files(Path(path))
    folder = Path(path) if Path(path).is_dir() else Path(path).parent
    counts = GoldCounts() if counts is None else counts
    names = read_class_names(label_map) if label_map else hugging_face_names(folder)
    images: list[DetectionImage] = []
    bare: list[str] = []  # rows that do not say whether they have boxes
    num_rows = 0
    for file in files:
        root = image_root or str(file.parent)
        prefix = "" if file.parent == folder else f"{file.parent.name}/"
        for where, row in _rows(str(file)):
            num_rows += 1
            if isinstance(row, dict) and not row.keys() & {"objects", "boxes"}:
                bare.append(where)
            with counts.entry():
                image = _image(row, where, root, names, counts)
                if image is not None:
                    image.sample_id = prefix + image.sample_id
                    images.append(image)
    if bare and len(bare) == num_rows:
        raise DataError(f"{bare[0]}: boxes must be list, got None, here and in every row")
    return named_detection_set(
        images,
        name=folder.resolve().name,
        file_format="imagefolder",
        counts=counts,
        names=[names[number] for number in sorted(names)],
        ids=sorted(names),
    )


def _metadata_files(path: Path) -> list[Path]:
    """The file itself, the folder's own, or those of the folder's splits."""
    if not path.is_dir():
        return [path]
    for folders in ([path], sorted(one for one in path.iterdir() if one.is_dir())):
        found = [[folder / name for name in METADATA_NAMES] for folder in folders]
        first = (next((file for file in files if file.is_file()), None) for files in found)
        if files := [file for file in first if file is not None]:
            return files
    raise DataError(
        f"{path} has no {' or '.join(METADATA_NAMES)}: it is not an image folder with boxes"
    )


def _rows(path: str) -> Iterator[tuple[str, Any]]:
    ending = bare_suffix(path)
    if ending == ".parquet":
        yield from parquet_rows([path])
    elif ending == ".csv":
        yield from _csv_rows(path)
    else:
        yield from read_json_lines(path)


def _csv_rows(path: str) -> Iterator[tuple[str, Any]]:
    """Rows with the cells of sizes and boxes as their JSON values; empty cells are absent."""
    try:
        with opened_text(path) as lines:
            rows = csv.DictReader(lines)
            for row in rows:
                where = f"{path} line {rows.line_num}"
                yield where, {key: _cell(key, text, where) for key, text in row.items() if text}
    except (*READ_ERRORS, UnicodeError, csv.Error) as error:
        raise DataError(f"gold file {path!r} cannot be read: {reason_of(error)}") from error


def _cell(key: str | None, text: Any, where: str) -> Any:
    if key not in ("objects", "boxes", "width", "height"):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError, TypeError):
        raise DataError(f"{where}: {key} must be JSON, got {text!r:.100}") from None


def _image(
    row: Any, where: str, root: str, names: dict[int, str], counts: GoldCounts
) -> DetectionImage | None:
    found = listed_objects(row, where)
    file_name = require(row, "file_name", str, where)
    uri = join_uri(root, file_name)
    if row.get("width") is None and row.get("height") is None:
        size_wh = picture_size(uri)
        if size_wh is None:
            counts.drop(NO_SIZE, where=where)
            return None
    else:
        size_wh = image_size(row, where)
    image = DetectionImage(sample_id=file_name, image_uri=uri, size_wh=size_wh)
    for bbox, label, is_crowd in found:
        category = object_name(label, names, where)
        xyxy = usable_xywh(bbox, image.size_wh, counts, where)
        if xyxy is not None and is_crowd:
            counts[f"dropped: {CROWD}"] += 1
            image.ignored.append(IgnoredBox(xyxy=xyxy, category=category))  # type: ignore[arg-type]
        elif xyxy is not None:
            image.boxes.append((xyxy, category))
    return image
