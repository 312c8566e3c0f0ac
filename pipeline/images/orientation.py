"""EXIF orientation: how an image is turned to be looked at. A broken block is one without the tag:
the pixels are usable, and every viewer shows them."""

from __future__ import annotations

import contextlib

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

UPRIGHT = 1
SIDEWAYS = 5
"""From here on width and height change places."""


def orientation(image: Image.Image) -> int:
    """1 to 8; 1: as it stands."""
    value: object = UPRIGHT
    with contextlib.suppress(Exception):  # readers of EXIF raise whatever a block makes them
        value = image.getexif().get(ExifTags.Base.Orientation, UPRIGHT)
    return value if isinstance(value, int) and UPRIGHT <= value <= 8 else UPRIGHT


def upright_size(image: Image.Image) -> tuple[int, int]:
    """(width, height) of an image that is opened and not loaded, as it is looked at."""
    width, height = image.size
    if image.format == "TIFF":  # Pillow's reader of TIFF says the upright size already
        return width, height
    return (height, width) if orientation(image) >= SIDEWAYS else (width, height)


def as_stored(upright: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
    """The same pixels as a file of this orientation holds them: a view, to be written to.

    Args:
        upright: uint8 [height, width, 3], as it is looked at.
        number: the orientation, 1 to 8.
    """
    stored = upright.transpose(1, 0, 2) if number >= SIDEWAYS else upright
    if number in (3, 4, 6, 7):
        stored = stored[::-1]
    if number in (2, 3, 7, 8):
        stored = stored[:, ::-1]
    return stored
