"""A hash of how an image looks: dHash, the signs of differences between neighbouring pixels.

Copies that were scaled, compressed again or slightly brightened differ in few bits. After Neal
Krawetz, "Kind of Like That" (2013); here rows and columns, 64 bits each, from a 9 x 8 and an 8 x 9
grey copy.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from schemas.layer import KINDS, LayerAnswer, LayerKind, LayerRequest

HASH_BITS = 128
VERSION = 1
_CROP_GRIDS = ((0.8, 9), (0.9, 7))
"""Share of the area, and places along each side."""
_CROP_SQUARES = 9
CROPS = sum(count * count for _, count in _CROP_GRIDS) + _CROP_SQUARES
_CROP_SOURCE_PX = 256
_NEARLY_ALL = 0.96


def dhash(image: NDArray[np.uint8]) -> str:
    """32 hex digits of a uint8 RGB image [height, width, 3]."""
    return _digits(*_small_copies(image))


def turned_dhashes(image: NDArray[np.uint8]) -> list[str]:
    """The hash of an image and those of its seven turned and mirrored copies."""
    across, down = _small_copies(image)
    found = []
    for mirrored in (False, True):
        for turns in range(4):
            # A quarter turn makes rows of columns.
            rows, columns = (across, down) if turns % 2 == 0 else (down, across)
            rows, columns = np.rot90(rows, turns), np.rot90(columns, turns)
            if mirrored:
                rows, columns = np.fliplr(rows), np.fliplr(columns)
            found.append(_digits(rows, columns))
    return found


def crop_dhashes(image: NDArray[np.uint8]) -> list[str | None]:
    """The hashes of `CROPS` crops of an image; None for one that is nearly all of it.

    Crops of 0.8 and of 0.9 of its area at the places of two grids, and the largest squares.
    """
    grey = Image.fromarray(image).convert("L")
    if max(grey.size) > _CROP_SOURCE_PX:
        grey.thumbnail((_CROP_SOURCE_PX, _CROP_SOURCE_PX), Image.Resampling.BOX)
    width, height = grey.size
    sizes = [
        (width * area**0.5, height * area**0.5, places)
        for area, count in _CROP_GRIDS
        for places in itertools.product(np.linspace(0, 1, count), repeat=2)
    ]
    square = min(grey.size)
    sizes += [(square, square, (place, place)) for place in np.linspace(0, 1, _CROP_SQUARES)]
    found: list[str | None] = []
    for across, down, (x, y) in sizes:
        left, top = x * (width - across), y * (height - down)
        box = (left, top, left + across, top + down)
        whole = across * down > _NEARLY_ALL * width * height
        found.append(None if whole else _digits(*_resized(grey, box)))
    return found


def _small_copies(image: NDArray[np.uint8]) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """Grey copies [8, 9] and [9, 8]."""
    return _resized(Image.fromarray(image).convert("L"))


def _resized(
    grey: Image.Image, box: tuple[float, float, float, float] | None = None
) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    across, down = (
        np.asarray(grey.resize(size, Image.Resampling.BOX, box=box), dtype=np.int16)
        for size in ((9, 8), (8, 9))
    )
    return across, down


def _digits(across: NDArray[np.int16], down: NDArray[np.int16]) -> str:
    bits = np.concatenate(
        [(np.diff(across, axis=1) > 0).ravel(), (np.diff(down, axis=0) > 0).ravel()]
    )
    return np.packbits(bits).tobytes().hex()


def pixels_sha256(image: NDArray[np.uint8]) -> str:
    """SHA-256 of the pixels of a uint8 RGB image and of its size: equal whatever the file is."""
    digest = hashlib.sha256(f"{image.shape[1]}x{image.shape[0]}".encode())
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()


class DuplicateScorer:
    """Makes the layer `duplicates`: the hash of every image. It has no weights."""

    kinds: tuple[LayerKind, ...] = (KINDS["duplicates"],)

    def fingerprint(self) -> Mapping[str, Any]:
        """The hash's own name and version."""
        return {"hash": "dhash", "bits": HASH_BITS, "version": VERSION}

    def score(self, requests: Sequence[LayerRequest], wanted: Collection[str]) -> list[LayerAnswer]:
        """The hash of each image, and the SHA-256 of its pixels: equal whatever the file is."""
        return [
            {
                "duplicates": {
                    "pixels_sha256": [pixels_sha256(request.image)],
                    "dhash": [dhash(request.image)],
                }
            }
            for request in requests
        ]
