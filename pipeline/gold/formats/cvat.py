"""CVAT's XML for images (1.1): boxes; turned ones, polygons, ellipses and masks as those around."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from pipeline.gold.checks import image_size, join_uri, usable_xyxy
from pipeline.gold.detection_samples import DetectionImage, named_detection_set
from pipeline.gold.gold_set import GoldCounts, GoldSet
from pipeline.gold.opened import read_xml
from schemas.errors import DataError

POINTS = "shape without an area (points, polyline)"


def load_cvat(path: str, *, image_root: str, counts: GoldCounts | None = None) -> GoldSet:
    """The images of a CVAT file.

    Raises:
        DataError: the file breaks the format, or holds a video's tracks.
    """
    counts = GoldCounts() if counts is None else counts
    tree = read_xml(path)
    if tree.tag != "annotations":
        raise DataError(f"gold file {path!r} must hold <annotations>, got <{tree.tag}>")
    if tree.find("track") is not None:
        raise DataError(
            f"gold file {path!r} has tracks of a video: export it as 'CVAT for images' instead"
        )
    images = []
    for number, entry in enumerate(tree.findall("image")):
        with counts.entry():
            images.append(_image(entry, f"{path}: image {number + 1}", image_root, counts))
    listed = [label.findtext("name", "").strip() for label in tree.iterfind("meta//labels/label")]
    return named_detection_set(
        images,
        name=Path(path).stem,
        file_format="cvat",
        counts=counts,
        names=[name for name in dict.fromkeys(listed) if name],
    )


def _image(entry: ElementTree.Element, where: str, root: str, counts: GoldCounts) -> DetectionImage:
    name = entry.get("name", "")
    if not name:
        raise DataError(f"{where} has no name")
    sides = {key: _number(entry, key, where) for key in ("width", "height")}
    image = DetectionImage(
        sample_id=name, image_uri=join_uri(root, name), size_wh=image_size(sides, where)
    )
    for number, shape in enumerate(entry):
        at = f"{where}: shape {number + 1}"
        corners = _corners(shape, at)
        if corners is None:
            counts.drop(POINTS, where=at)
            continue
        label = shape.get("label", "").strip()
        if not label:
            raise DataError(f"{at} has no label")
        xyxy = usable_xyxy(corners, image.size_wh, counts, at)
        if xyxy is not None:
            image.boxes.append((xyxy, label))
    return image


def _corners(shape: ElementTree.Element, where: str) -> list[float] | None:
    """The box of a shape, or around it; None where it has no area."""
    match shape.tag:
        case "box":
            x0, y0, x1, y1 = _numbers(shape, ("xtl", "ytl", "xbr", "ybr"), where)
            cos, sin = _turn(shape, where)
            wide, high = (x1 - x0) / 2, (y1 - y0) / 2
            half = abs(wide * cos) + abs(high * sin), abs(wide * sin) + abs(high * cos)
            middle = (x0 + x1) / 2, (y0 + y1) / 2
            return _box(middle, half) if sin else [x0, y0, x1, y1]
        case "ellipse":
            cx, cy, rx, ry = _numbers(shape, ("cx", "cy", "rx", "ry"), where)
            cos, sin = _turn(shape, where)
            half = math.hypot(rx * cos, ry * sin), math.hypot(rx * sin, ry * cos)
            return _box((cx, cy), half)
        case "mask":
            left, top, wide, high = _numbers(shape, ("left", "top", "width", "height"), where)
            return [left, top, left + wide, top + high]
        case "polygon":
            return _around(shape.get("points", ""), where)
    return None


def _box(middle: tuple[float, float], half: tuple[float, float]) -> list[float]:
    (x, y), (wide, high) = middle, half
    return [x - wide, y - high, x + wide, y + high]


def _turn(shape: ElementTree.Element, where: str) -> tuple[float, float]:
    """Cosine and sine of a shape's `rotation`, in degrees about its middle."""
    degrees = _number(shape, "rotation", where) if "rotation" in shape.attrib else 0.0
    if not math.isfinite(degrees):
        raise DataError(f"{where}: rotation must be a number, got {shape.get('rotation')!r:.100}")
    angle = math.radians(degrees)
    return math.cos(angle), math.sin(angle)


def _numbers(shape: ElementTree.Element, keys: tuple[str, ...], where: str) -> list[float]:
    return [_number(shape, key, where) for key in keys]


def _around(points: str, where: str) -> list[float]:
    try:
        places = [tuple(map(float, point.split(","))) for point in points.split(";")]
        xs, ys = [x for x, _ in places], [y for _, y in places]
    except ValueError:
        raise DataError(f"{where}: points must be x,y;x,y;..., got {points!r:.100}") from None
    return [min(xs), min(ys), max(xs), max(ys)]


def _number(entry: ElementTree.Element, key: str, where: str) -> float:
    try:
        return float(entry.get(key, ""))
    except ValueError:
        raise DataError(f"{where}: {key} must be a number, got {entry.get(key)!r:.100}") from None
