"""YOLO (Ultralytics): data.yaml with names, and a text file of boxes beside each image."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.gold.checks import read_text, usable_xyxy
from pipeline.gold.class_names import numbered_names, read_yaml
from pipeline.gold.detection_samples import DetectionImage, named_detection_set
from pipeline.gold.gold_set import GoldCounts, GoldSet
from pipeline.gold.picture_sizes import NO_SIZE, picture_size
from schemas.errors import DataError

SPLITS = ("train", "val", "test")
ENDINGS = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".avif"}
PIXELS = "line whose numbers are not shares of the image, 0 to 1 (are they pixels?)"
_FAR = 2.0
"""A share beyond this is none: a box that leaves its image does so by less."""
_MOST_CLASSES = 100_000
NO_LABELS = "label file of an image that is not there"


def load_yolo(
    path: str, *, image_root: str = "", split: str = "", counts: GoldCounts | None = None
) -> GoldSet:
    """The images that a data.yaml (or the folder that has one) lists; all splits, or one.

    Sizes come from the images. Polygons and turned boxes are taken as the boxes around them.

    Raises:
        DataError: a file breaks the format.
    """
    file, counts = Path(path), GoldCounts() if counts is None else counts
    if file.is_dir():
        file = file / "data.yaml"
    raw = read_yaml(str(file))
    if not isinstance(raw, dict):
        raise DataError(f"{file} must hold a mapping with names, got {raw!r:.100}")
    listed, number = raw.get("names"), raw.get("nc")
    if listed is None and isinstance(number, int) and 0 < number <= _MOST_CLASSES:
        listed = [f"class_{place}" for place in range(number)]  # as Ultralytics calls them
    names = numbered_names(listed, f"names of {str(file)!r}")
    if "validation" in raw:
        raw = {"val": raw["validation"]} | raw
    base = Path(image_root) if image_root else file.parent / str(raw.get("path") or ".")
    if not base.is_dir():
        base = file.parent  # an absolute path of the machine that made it
    images: list[DetectionImage] = []
    seen: set[Path] = set()
    for name in [split] if split else [name for name in SPLITS if raw.get(name)]:
        if not raw.get(name):
            raise DataError(f"{file} has no split {name!r}")
        for image_path in _images(raw[name], base, str(file), counts):
            if image_path not in seen:
                seen.add(image_path)
                with counts.entry():
                    image = _image(image_path, base, names, counts, has_points="kpt_shape" in raw)
                    if image is not None:
                        images.append(image)
    return named_detection_set(
        images,
        name=file.resolve().parent.name,
        file_format="yolo",
        counts=counts,
        names=[names[number] for number in sorted(names)],
        ids=sorted(names),
    )


def label_path(image: Path) -> Path:
    """The label file: `images` is replaced in the path where it last occurs; else beside it."""
    head, middle, tail = str(image).rpartition(f"{os.sep}images{os.sep}")
    moved = Path(f"{head}{os.sep}labels{os.sep}{tail}") if middle else image
    return moved.with_suffix(".txt")


def _images(entry: Any, base: Path, where: str, counts: GoldCounts) -> Iterator[Path]:
    for one in entry if isinstance(entry, list) else [entry]:
        if not isinstance(one, str):
            raise DataError(f"{where}: a split must be a path or a list of paths, got {one!r:.100}")
        place = base / one
        if not place.exists() and one.startswith("../"):
            place = base / one[3:]  # Roboflow's data.yaml, as Ultralytics reads it
        if place.is_dir():
            found = sorted(p for p in place.rglob("*") if p.suffix.lower() in ENDINGS)
            yield from found
            yield from _orphans(place, found, counts)
        elif place.suffix == ".txt":
            for line in read_text(place).splitlines():
                if line.strip():
                    yield (place.parent if line.startswith("./") else base) / line.strip()
        else:
            raise DataError(f"{where}: {one!r} is neither a folder nor a list of images")


def _orphans(folder: Path, found: list[Path], counts: GoldCounts) -> Iterator[Path]:
    """Counts the label files below a folder of images that have no image."""
    labels = label_path(folder / "x").parent
    known = {label_path(image) for image in found}
    for label in sorted(labels.rglob("*.txt")) if labels != folder else ():
        if label not in known:
            counts.drop(NO_LABELS, where=str(label))
    yield from ()


def _image(
    path: Path, base: Path, names: dict[int, str], counts: GoldCounts, *, has_points: bool
) -> DetectionImage | None:
    size_wh = picture_size(str(path))
    if size_wh is None:
        counts.drop(NO_SIZE, where=str(path))
        return None
    sample_id = os.path.relpath(path, base)
    image = DetectionImage(sample_id=sample_id, image_uri=str(path), size_wh=size_wh)
    labels = label_path(path)
    for number, line in enumerate(read_text(labels).splitlines() if labels.is_file() else ()):
        if line.strip():
            where = f"{labels} line {number + 1}"
            category, shares = _line(line, where, names, has_points=has_points)
            if any(math.isfinite(share) and abs(share) > _FAR for share in shares):
                counts.drop(PIXELS, where=where)
                continue
            sides = (*size_wh, *size_wh)
            corners = [share * side for share, side in zip(shares, sides, strict=True)]
            xyxy = usable_xyxy(corners, size_wh, counts, where)
            if xyxy is not None:
                image.boxes.append((xyxy, category))
    return image


def _line(
    line: str, where: str, names: dict[int, str], *, has_points: bool
) -> tuple[str, tuple[float, ...]]:
    """Class name, and corners as shares. A pose has its box before its points."""
    try:
        number, *values = (float(word) for word in line.split())
    except ValueError:
        raise DataError(f"{where}: a line must be numbers, got {line.strip()!r:.100}") from None
    if not number.is_integer() or int(number) not in names:
        raise DataError(f"{where}: class {number:g} is not among the {len(names)} names")
    if len(values) in (4, 5) or (has_points and len(values) > 5):  # the fifth is a confidence
        cx, cy, w, h = values[:4]
        return names[int(number)], (cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2)
    if len(values) < 6 or len(values) % 2:
        raise DataError(
            f"{where}: a line must be a class and 4 numbers, or the corners of a polygon; got "
            f"{len(values)} numbers"
        )
    xs, ys = values[0::2], values[1::2]
    return names[int(number)], (min(xs), min(ys), max(xs), max(ys))
