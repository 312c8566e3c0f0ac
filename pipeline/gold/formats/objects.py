"""Boxes of a row as Hugging Face's data sets have them: `objects` (lists, or a list), `boxes`."""

from __future__ import annotations

from typing import Any

from pipeline.gold.checks import is_set, require, whole_text
from schemas.errors import DataError


def object_name(label: Any, names: dict[int, str], where: str) -> str:
    """The name of a category that is a name or a number.

    Raises:
        DataError: it is neither, or a number that has no name while others have.
    """
    if isinstance(label, str) and label.strip():
        return whole_text(label, "category", where)
    if not isinstance(label, int) or isinstance(label, bool):
        raise DataError(f"{where}: a category must be a name or a number, got {label!r:.100}")
    if names and label not in names:
        raise DataError(f"{where}: category {label} is not among the {len(names)} class names")
    return names.get(label, str(label))


def listed_objects(row: Any, where: str) -> list[tuple[Any, Any, bool]]:
    """(Box, category, is a crowd) of a row.

    Raises:
        DataError: its `objects` or `boxes` are none.
    """
    if isinstance(row, dict) and "objects" in row:
        objects = row["objects"]
        if objects is None:
            return []
        if isinstance(objects, list):
            return [_object(entry, f"{where}: objects[{n}]") for n, entry in enumerate(objects)]
        objects = require(row, "objects", dict, where)
        key = "categories" if "categories" in objects else "category"
        if {"bbox", key} <= objects.keys() and objects["bbox"] is None and objects[key] is None:
            return []  # Parquet's way to say that this image has none
        boxes = require(objects, "bbox", list, f"{where}: objects")
        labels = require(objects, key, list, f"{where}: objects")
        said = objects.get("iscrowd") is not None
        crowds = require(objects, "iscrowd", list, where) if said else ()
        if len(boxes) != len(labels) or (crowds and len(crowds) != len(boxes)):
            raise DataError(
                f"{where}: objects has {len(boxes)} boxes and {len(labels)} {key}; they must agree"
            )
        flags = [is_set({"iscrowd": flag}, "iscrowd", where) for flag in crowds]
        return list(zip(boxes, labels, flags or [False] * len(boxes), strict=True))
    if isinstance(row, dict) and row.get("boxes") is None:
        return []  # an image without boxes, beside others that have some
    return [
        _object(entry, f"{where}: boxes[{number}]")
        for number, entry in enumerate(require(row, "boxes", list, where))
    ]


def _object(entry: Any, where: str) -> tuple[Any, Any, bool]:
    if not isinstance(entry, dict):
        raise DataError(f"{where} must be an object, got {entry!r:.100}")
    category = entry.get("category", entry.get("category_id"))
    if category is None:
        raise DataError(f"{where}: category must be str, got None")
    return entry.get("bbox"), category, is_set(entry, "iscrowd", where)
