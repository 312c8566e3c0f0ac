"""COCO instances and LVIS: detection gold with exhaustive or federated labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.gold.checks import (
    CROWD,
    image_size,
    join_uri,
    read_json,
    require,
    usable_xywh,
)
from pipeline.gold.detection_samples import DetectionImage, detection_set
from pipeline.gold.gold_set import GoldCounts, GoldSet, IgnoredBox
from schemas.errors import DataError


def load_coco(path: str, *, image_root: str) -> GoldSet:
    """Instances of a COCO file. Crowd regions become regions to ignore.

    Raises:
        DataError: the file breaks the format.
    """
    return _load(path, read_json(path), image_root=image_root, is_lvis=False)


def load_lvis(path: str, *, image_root: str) -> GoldSet:
    """Instances of an LVIS file: only the listed negatives of an image are known to be absent.

    Categories that are not exhaustively labelled in an image are counted; their boxes stay.

    Raises:
        DataError: the file breaks the format.
    """
    return _load(path, read_json(path), image_root=image_root, is_lvis=True)


def _load(path: str, raw: Any, *, image_root: str, is_lvis: bool) -> GoldSet:
    name, counts = Path(path).stem, GoldCounts()
    category_of, categories = _categories(raw, path)
    images: dict[Any, DetectionImage] = {}
    for number, entry in enumerate(require(raw, "images", list, path)):
        where = f"{path}: images[{number}]"
        image_id = require(entry, "id", (int, str), where)
        if image_id in images:
            raise DataError(f"{where}: id {image_id!r} occurs twice")
        images[image_id] = DetectionImage(
            sample_id=f"{name}/{image_id}",
            image_uri=join_uri(image_root, _file_name(entry, where)),
            size_wh=image_size(entry, where),
        )
        if is_lvis:
            _federated(entry, images[image_id], category_of, where)
            counts["categories not exhaustive in an image"] += len(images[image_id].not_exhaustive)
    for number, entry in enumerate(require(raw, "annotations", list, path)):
        _add_box(entry, f"{path}: annotations[{number}]", images, category_of, counts)
    return detection_set(
        list(images.values()),
        name=name,
        file_format="lvis" if is_lvis else "coco",
        categories=categories,
        is_exhaustive=not is_lvis,
        counts=counts,
        frequencies=_frequencies(raw) if is_lvis else (),
    )


def _federated(entry: Any, image: DetectionImage, category_of: dict[Any, int], where: str) -> None:
    found = []
    for key in ("neg_category_ids", "not_exhaustive_category_ids"):
        listed = require(entry, key, list, where)
        unknown = [category for category in listed if category not in category_of]
        if unknown:
            raise DataError(f"{where}: {key} has {unknown[0]!r}, which is not in categories")
        found.append(tuple(category_of[category] for category in listed))
    image.absent, image.not_exhaustive = found


def _frequencies(raw: Any) -> tuple[str, ...]:
    by_id = {entry["id"]: str(entry.get("frequency", "")) for entry in raw["categories"]}
    return tuple(by_id[category] for category in sorted(by_id))


def _categories(raw: Any, path: str) -> tuple[dict[Any, int], tuple[str, ...]]:
    entries = require(raw, "categories", list, path)
    names: dict[Any, str] = {}
    for number, entry in enumerate(entries):
        where = f"{path}: categories[{number}]"
        category_id = require(entry, "id", int, where)
        if category_id in names:
            raise DataError(f"{where}: id {category_id!r} occurs twice")
        names[category_id] = require(entry, "name", str, where)
    order = sorted(names)
    return {category: index for index, category in enumerate(order)}, tuple(
        names[category] for category in order
    )


def _file_name(entry: Any, where: str) -> str:
    if "file_name" in entry:
        return str(require(entry, "file_name", str, where))
    # LVIS has no file name: the last two parts of the URL are the COCO split and the file.
    return "/".join(str(require(entry, "coco_url", str, where)).split("/")[-2:])


def _add_box(
    entry: Any,
    where: str,
    images: dict[Any, DetectionImage],
    category_of: dict[Any, int],
    counts: GoldCounts,
) -> None:
    image = images.get(require(entry, "image_id", (int, str), where))
    if image is None:
        raise DataError(f"{where}: image_id {entry['image_id']!r} is not in images")
    category = category_of.get(require(entry, "category_id", int, where))
    if category is None:
        raise DataError(f"{where}: category_id {entry['category_id']!r} is not in categories")
    xyxy = usable_xywh(entry.get("bbox"), image.size_wh, counts)
    if xyxy is None:
        return
    if entry.get("iscrowd"):
        counts.drop(CROWD)
        image.ignored.append(IgnoredBox(xyxy=xyxy, category=category))
    else:
        image.boxes.append((xyxy, category))
