"""Files of COCO's shape: arrays of images, categories and annotations, in any order."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from pipeline.gold.gold_set import GoldCounts
from pipeline.gold.json_stream import stream_object
from schemas.errors import DataError


def stream_annotated(
    path: str,
    on_entry: Mapping[str, Callable[[Any, str], None]],
    counts: GoldCounts,
    *,
    optional: Mapping[str, Callable[[Any, str], None]] = MappingProxyType({}),
    may_lack: Collection[str] = (),
) -> frozenset[str]:
    """Give each element of some arrays to their functions, annotations after all the others.

    Args:
        path: The file.
        on_entry: Array -> what takes an element and its place in words.
        counts: Takes an entry that breaks the format, where problems are reported.
        optional: The same for arrays that may be missing, or something else.
        may_lack: Arrays of `on_entry` that may be missing.

    Returns: the arrays of `on_entry` that the file has.

    Raises:
        DataError: the file breaks the format, or has not all the arrays that it must have.
    """
    seen: set[str] = set()
    late = False
    for key, number, value in stream_object(path):
        if key in optional and number is not None:
            optional[key](value, f"{path}: {key}[{number}]")
        if key not in on_entry:
            continue
        if number is None:
            if not isinstance(value, list):
                raise DataError(f"{path}: {key} must be list, got {value!r:.100}")
            if key in seen:
                raise DataError(f"{path}: {key} occurs twice; readers of JSON take the last alone")
            seen.add(key)
            late = late or (key == "annotations" and len(seen) < len(on_entry))
        elif not (late and key == "annotations"):
            with counts.entry():
                on_entry[key](value, f"{path}: {key}[{number}]")
    for key in on_entry:
        if key not in seen and key not in may_lack:
            raise DataError(f"{path}: {key} must be list, got None")
    if late:
        for where, value in _annotations(path):
            with counts.entry():
                on_entry["annotations"](value, where)
    return frozenset(seen)


def _annotations(path: str) -> Iterator[tuple[str, Any]]:
    for key, number, value in stream_object(path):
        if key == "annotations" and number is not None:
            yield f"{path}: annotations[{number}]", value
