"""CVAT's XML for images (1.1): boxes, and polygons as the boxes around them."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

from pipeline.gold.checks import image_size, join_uri, usable_xyxy
from pipeline.gold.detection_samples import DetectionImage, named_detection_set
from pipeline.gold.gold_set import GoldCounts, GoldSet
from pipeline.gold.opened import read_xml
from schemas.errors import DataError

POINTS = "shape without an area (points, polyline)"
SHAPES = ("polyline", "points", "cuboid", "skeleton", "tag")


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
        if shape.tag == "box":
            corners = [_number(shape, key, at) for key in ("xtl", "ytl", "xbr", "ybr")]
        elif shape.tag == "polygon":
            corners = _around(shape.get("points", ""), at)
        else:
            if shape.tag in SHAPES:
                counts.drop(POINTS, where=at)
            continue
        label = shape.get("label", "").strip()
        if not label:
            raise DataError(f"{at} has no label")
        xyxy = usable_xyxy(corners, image.size_wh, counts, at)
        if xyxy is not None:
            image.boxes.append((xyxy, label))
    return image


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
