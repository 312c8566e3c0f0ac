"""Label Studio's JSON (tasks with results, or JSON-MIN): boxes in percent of the image."""

from __future__ import annotations

import math
import posixpath
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from pipeline.gold.checks import (
    image_size,
    join_uri,
    read_json,
    require,
    usable_xyxy,
    whole_text,
)
from pipeline.gold.detection_samples import DetectionImage, named_detection_set
from pipeline.gold.gold_set import GoldCounts, GoldSet
from pipeline.gold.picture_sizes import picture_size
from schemas.errors import DataError

NO_SHAPE = "result that is not a rectangle, a polygon or an ellipse"
NO_LABEL = "shape without a label"
NO_SIZE = "task without a shape whose image cannot be read (is --image-root right?)"
NOBODY = "task that nobody has labelled"
_SHAPES = ({"x", "y", "width", "height"}, {"points"}, {"x", "y", "radiusX", "radiusY"})
_IMAGE_KEYS = ("image", "img", "image_url", "url")


def load_label_studio(path: str, *, image_root: str, counts: GoldCounts | None = None) -> GoldSet:
    """The labelled tasks of an export; of several people's labels of a task, all are taken.

    Raises:
        DataError: the file breaks the format.
    """
    counts = GoldCounts() if counts is None else counts
    raw = read_json(path)
    if not isinstance(raw, list):
        raise DataError(f"gold file {path!r} must hold a JSON list of tasks")
    images = []
    for number, task in enumerate(raw):
        with counts.entry():
            image = _task(task, f"{path}: tasks[{number}]", Path(path).stem, image_root, counts)
            if image is not None:
                images.append(image)
    return named_detection_set(
        images, name=Path(path).stem, file_format="label-studio", counts=counts
    )


def is_label_studio(raw: Any) -> bool:
    """True for a list of tasks."""
    first = raw[0] if isinstance(raw, list) and raw else None
    return isinstance(first, dict) and (
        ("data" in first and ("annotations" in first or "completions" in first))
        or (bool(first.keys() & set(_IMAGE_KEYS)) and "annotation_id" in first)
    )


def _task(task: Any, where: str, name: str, root: str, counts: GoldCounts) -> DetectionImage | None:
    if not isinstance(task, dict):
        raise DataError(f"{where} must be an object, got {task!r:.100}")
    data = task.get("data", task)
    if not isinstance(data, dict):
        raise DataError(f"{where}: data must be an object, got {data!r:.100}")
    key = next((key for key in _IMAGE_KEYS if isinstance(data.get(key), str)), "")
    if not key:
        raise DataError(f"{where}: data has no {' or '.join(_IMAGE_KEYS)}")
    results = _results(task, where)
    if results is None:
        counts.drop(NOBODY, where=where)
        return None
    image: DetectionImage | None = None
    sample_id = f"{name}/{task.get('id', where)}"
    labels_of: dict[Any, list[str]] = {}
    for result in results:
        value = result.get("value", result)
        if isinstance(value, dict) and isinstance(value.get("labels"), list):
            labels_of.setdefault(result.get("id"), []).extend(map(str, value["labels"]))
    for number, result in enumerate(results):
        at = f"{where}: result[{number}]"
        value = result.get("value", result)
        if not isinstance(value, dict):
            raise DataError(f"{at}: value must be an object, got {value!r:.100}")
        if not any(keys <= value.keys() for keys in _SHAPES):
            if "labels" not in value:
                counts.drop(NO_SHAPE, where=at)
            continue
        sides = {"width": result.get("original_width"), "height": result.get("original_height")}
        size_wh = image_size(sides, at)
        if image is None:
            uri = join_uri(root, image_path(data[key]))
            image = DetectionImage(sample_id=sample_id, image_uri=uri, size_wh=size_wh)
        corners = _corners(value, size_wh, at)
        kinds = ("rectanglelabels", "polygonlabels", "ellipselabels")
        own = next((found for kind in kinds if (found := value.get(kind))), None)
        if own is not None and not isinstance(own, list):
            raise DataError(f"{at}: labels must be list, got {own!r:.100}")
        labels = own or labels_of.get(result.get("id"))
        if not labels:
            counts.drop(NO_LABEL, where=at)
        for label in labels or ():
            xyxy = usable_xyxy(corners, image.size_wh, counts, at)
            if xyxy is not None:
                image.boxes.append((xyxy, whole_text(str(label), "label", at)))
    if image is not None:
        return image
    # Results alone know the size; a task with none says that nothing is there.
    uri = join_uri(root, image_path(data[key]))
    own_size = picture_size(uri)
    if own_size is None:
        counts.drop(NO_SIZE, where=where)
        return None
    return DetectionImage(sample_id=sample_id, image_uri=uri, size_wh=own_size)


def _results(task: dict[str, Any], where: str) -> list[Any] | None:
    """The results of all annotations; None where there is no annotation."""
    if "data" not in task:
        shapes = [value for value in task.values() if isinstance(value, list)]
        return [entry for shape in shapes for entry in shape if isinstance(entry, dict)]
    annotations = task.get("annotations", task.get("completions"))
    if not isinstance(annotations, list):
        raise DataError(f"{where}: annotations must be list, got {annotations!r:.100}")
    for number, entry in enumerate(annotations):
        if not isinstance(entry, dict):
            raise DataError(f"{where}: annotations[{number}] must be an object, got {entry!r:.100}")
    kept = [entry for entry in annotations if not entry.get("was_cancelled")]
    if not kept:
        return None
    found = []
    for number, entry in enumerate(kept):
        at = f"{where}: annotations[{number}]"
        for result in require(entry, "result", list, at):
            if not isinstance(result, dict):
                raise DataError(f"{at}: a result must be an object, got {result!r:.100}")
            found.append(result)
    return found


def image_path(address: str) -> str:
    """The path that Label Studio's own addresses stand for; others as they are."""
    parts = urlsplit(address)
    if parts.path.startswith("/data/local-files"):
        return unquote(parse_qs(parts.query).get("d", [""])[0]) or address
    if not parts.scheme and parts.path.startswith("/data/upload/"):
        return posixpath.relpath(unquote(parts.path), "/data/upload")
    return address


def _corners(value: dict[str, Any], size_wh: tuple[int, int], where: str) -> list[float]:
    width, height = size_wh
    if "points" in value:
        try:
            places = [(float(x), float(y)) for x, y in value["points"]]
        except (TypeError, ValueError, OverflowError):
            raise DataError(f"{where}: points must be pairs of numbers") from None
        if not places:
            raise DataError(f"{where}: points must not be empty")
    else:
        is_round = "radiusX" in value
        keys = ("x", "y", "radiusX", "radiusY") if is_round else ("x", "y", "width", "height")
        turn = value if value.get("rotation") is not None else value | {"rotation": 0}
        x, y, w, h, degrees = (_number(turn, key, where) for key in (*keys, "rotation"))
        if is_round:
            return _around_ellipse((x, y), (w, h), math.radians(degrees), size_wh)
        # A rotation turns about the upper left corner, in pixels.
        angle = math.radians(degrees)
        across = (math.cos(angle) * w, math.sin(angle) * w * width / height)
        down = (-math.sin(angle) * h * height / width, math.cos(angle) * h)
        places = [
            (x + a * across[0] + b * down[0], y + a * across[1] + b * down[1])
            for a, b in ((0, 0), (1, 0), (0, 1), (1, 1))
        ]
    xs, ys = [x * width / 100 for x, _ in places], [y * height / 100 for _, y in places]
    return [min(xs), min(ys), max(xs), max(ys)]


def _around_ellipse(
    middle: tuple[float, float],
    radii: tuple[float, float],
    angle: float,
    size_wh: tuple[int, int],
) -> list[float]:
    """The box around an ellipse, whose middle and radii are percents; it turns in pixels."""
    (x, y), (rx, ry) = ((a * size_wh[0] / 100, b * size_wh[1] / 100) for a, b in (middle, radii))
    wide = math.hypot(rx * math.cos(angle), ry * math.sin(angle))
    high = math.hypot(rx * math.sin(angle), ry * math.cos(angle))
    return [x - wide, y - high, x + wide, y + high]


def _number(value: dict[str, Any], key: str, where: str) -> float:
    number = require(value, key, (int, float), where)
    if not abs(number) < 1e9:  # NaN too
        raise DataError(f"{where}: {key} must be a number below 1e9, got {number!r:.100}")
    return float(number)
