"""A hash of how an image looks: dHash, the signs of differences between neighbouring pixels.

Copies that were scaled, compressed again or slightly brightened differ in few bits. After Neal
Krawetz, "Kind of Like That" (2013); here rows and columns, 64 bits each, from a 9 x 8 and an 8 x 9
grey copy.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from schemas.layer import KINDS, LayerAnswer, LayerKind, LayerRequest

HASH_BITS = 128
VERSION = 1


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


def _small_copies(image: NDArray[np.uint8]) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """Grey copies [8, 9] and [9, 8]."""
    grey = Image.fromarray(image).convert("L")
    across = np.asarray(grey.resize((9, 8), Image.Resampling.BOX), dtype=np.int16)
    return across, np.asarray(grey.resize((8, 9), Image.Resampling.BOX), dtype=np.int16)


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
