"""OpenImages: CSV of boxes as shares of the image, and class descriptions that name the codes."""

from __future__ import annotations

import csv
from pathlib import Path

from pipeline.gold.checks import join_uri, usable_xyxy
from pipeline.gold.class_names import read_csv
from pipeline.gold.detection_samples import DetectionImage, named_detection_set
from pipeline.gold.gold_set import GoldCounts, GoldSet, IgnoredBox
from pipeline.gold.opened import READ_ERRORS, opened_text
from pipeline.gold.picture_sizes import NO_SIZE, picture_size
from schemas.errors import DataError, reason_of

GROUP = "group of objects in one box: a region to ignore"
COLUMNS = ("ImageID", "LabelName", "XMin", "XMax", "YMin", "YMax")


def load_open_images(
    path: str, *, image_root: str, label_map: str = "", counts: GoldCounts | None = None
) -> GoldSet:
    """Boxes of a CSV; images are `<ImageID>.jpg` below the root, and give the sizes.

    `label_map` is the CSV of class descriptions (code, name); a `*class-descriptions*.csv` beside
    the file is found. Only verified classes of an image are exhaustive: the set is not.

    Raises:
        DataError: the file breaks the format.
    """
    counts = GoldCounts() if counts is None else counts
    names = _descriptions(path, label_map)
    try:
        with opened_text(path) as lines:
            images = _images(path, csv.DictReader(lines), image_root, names, counts)
    except (*READ_ERRORS, UnicodeError, csv.Error) as error:
        raise DataError(f"gold file {path!r} cannot be read: {reason_of(error)}") from error
    return named_detection_set(
        images,
        name=Path(path).stem,
        file_format="openimages",
        counts=counts,
        is_exhaustive=False,
    )


def _images(
    path: str,
    rows: csv.DictReader[str],
    root: str,
    names: dict[str, str],
    counts: GoldCounts,
) -> list[DetectionImage]:
    missing = [name for name in COLUMNS if name not in (rows.fieldnames or ())]
    if missing:
        raise DataError(f"{path} line 1: the column {missing[0]} is missing")
    images: dict[str, DetectionImage | None] = {}
    for row in rows:
        with counts.entry():
            where = f"{path} line {rows.line_num}"
            image_id = row["ImageID"]
            if image_id not in images:
                uri = join_uri(root, f"{image_id}.jpg")
                size_wh = picture_size(uri)
                images[image_id] = (
                    None
                    if size_wh is None
                    else DetectionImage(sample_id=image_id, image_uri=uri, size_wh=size_wh)
                )
                if size_wh is None:
                    counts.drop(NO_SIZE, where=where)
            image = images[image_id]
            if image is not None:
                _add_box(row, where, image, names, counts)
    return [image for image in images.values() if image is not None]


def _add_box(
    row: dict[str, str],
    where: str,
    image: DetectionImage,
    names: dict[str, str],
    counts: GoldCounts,
) -> None:
    try:
        x0, x1, y0, y1 = (float(row[key]) for key in COLUMNS[2:])
    except (TypeError, ValueError):
        raise DataError(f"{where}: XMin, XMax, YMin and YMax must be numbers") from None
    width, height = image.size_wh
    corners = (x0 * width, y0 * height, x1 * width, y1 * height)
    xyxy = usable_xyxy(corners, image.size_wh, counts, where)
    name = names.get(row["LabelName"], row["LabelName"])
    if xyxy is not None and row.get("IsGroupOf") == "1":
        counts[f"dropped: {GROUP}"] += 1
        image.ignored.append(IgnoredBox(xyxy=xyxy, category=name))  # type: ignore[arg-type]
    elif xyxy is not None:
        image.boxes.append((xyxy, name))


def _descriptions(path: str, label_map: str) -> dict[str, str]:
    files = [Path(label_map)] if label_map else sorted(Path(path).parent.glob("*class-desc*.csv"))
    found: dict[str, str] = {}
    for file in files:
        named = (row for row in read_csv(file) if len(row) >= 2 and row[1].strip())
        found |= {row[0].strip(): row[1].strip() for row in named}
    return found
