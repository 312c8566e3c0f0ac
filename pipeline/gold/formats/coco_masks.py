"""COCO's `segmentation` as compressed run lengths of the whole image."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from pipeline.gold.gold_set import GoldCounts, Mask
from pipeline.storage.inflation import most_unpacked, refusal

BAD_MASK = "segmentation that is neither polygons nor run lengths of its image (its box stays)"
_LEAST_NUMBERS = 6
"""Of a polygon: three corners."""
_LONGEST_OUTLINE = 2e6
"""Pixels, of all polygons of a mask: `rleFrPoly` takes 40 bytes and more for each, and writes where
it got no memory."""


class MaskReader:
    """The masks of one file, which together take no more memory than a packed file may."""

    def __init__(self, path: str, counts: GoldCounts) -> None:
        self._path, self._counts = path, counts
        self._limit = most_unpacked(os.path.getsize(path))
        self._taken = 0

    def read(self, segmentation: Any, size_wh: tuple[int, int], where: str) -> Mask | None:
        """As `read_mask`.

        Raises:
            DataError: the masks of the file are too large: some numbers draw lines over a large
                image, whose run lengths are long.
        """
        found = read_mask(segmentation, size_wh, self._counts, where)
        if found is not None:
            self._taken += len(found.counts)
            if self._taken > self._limit:
                raise refusal(f"gold file {self._path!r}: segmentation", self._limit)
        return found


def read_mask(
    segmentation: Any, size_wh: tuple[int, int], counts: GoldCounts, where: str
) -> Mask | None:
    """The mask of an annotation; None where it has none, or none that can be used (counted).

    Polygons may leave the image: what is outside is cut off. Several are one mask.
    """
    if segmentation in (None, [], {}):
        return None
    width, height = size_wh
    found: Mask | None = None
    if (
        isinstance(segmentation, list)
        and all(map(_is_polygon, segmentation))
        and sum(map(_outline, segmentation)) <= _LONGEST_OUTLINE
    ):
        found = _of_polygons(segmentation, height, width)
    elif isinstance(segmentation, dict) and segmentation.get("size") == [height, width]:
        found = _of_runs(segmentation.get("counts"), height, width)
    if found is None:
        counts.clip(BAD_MASK, where=where)
    return found


def _is_polygon(value: Any) -> bool:
    if not isinstance(value, list) or len(value) < _LEAST_NUMBERS or len(value) % 2:
        return False
    if not all(isinstance(one, int | float) and not isinstance(one, bool) for one in value):
        return False
    return all(abs(one) < 1e6 for one in value)  # false for NaN too


def _outline(polygon: list[float]) -> float:
    """Its length in steps along the longer side, as they are drawn."""
    corners = np.asarray(polygon, dtype=np.float64).reshape(-1, 2)
    return float(np.abs(corners - np.roll(corners, -1, axis=0)).max(axis=1).sum())


def _of_polygons(polygons: list[list[float]], height: int, width: int) -> Mask:
    from pycocotools import mask

    # Doubles: whole numbers alone would be taken for boxes.
    parts = mask.frPyObjects([[float(v) for v in one] for one in polygons], height, width)
    whole = mask.merge(parts)
    return Mask(counts=whole["counts"].decode("ascii"), area=int(mask.area(whole)))


def _of_runs(runs: Any, height: int, width: int) -> Mask | None:
    """Run lengths as a list or packed; they must fill the image, or decoders write beyond it."""
    from pycocotools import mask

    if isinstance(runs, str):
        lengths = _unpacked(runs)
    else:
        lengths = runs if isinstance(runs, list) and all(type(n) is int for n in runs) else []
    if not lengths or min(lengths) < 0 or sum(lengths) != height * width:
        return None
    whole = mask.frPyObjects({"size": [height, width], "counts": lengths}, height, width)
    area = int(np.sum(lengths[1::2]))
    return Mask(counts=whole["counts"].decode("ascii"), area=area)


def _unpacked(text: str) -> list[int]:
    """Lengths of a packed string: numbers of 5 bits a character, from the third on as differences
    to the one before the last (`rleFrString` of pycocotools). Empty where it is broken."""
    lengths: list[int] = []
    place = 0
    while place < len(text):
        value, shift, more = 0, 0, True
        while more:
            if place >= len(text):
                return []
            code = ord(text[place]) - 48
            if not 0 <= code < 64:
                return []
            value |= (code & 31) << shift
            more = bool(code & 32)
            shift += 5
            place += 1
            if not more and code & 16:
                value -= 1 << shift
        lengths.append(value + lengths[-2] if len(lengths) > 2 else value)
    return lengths
