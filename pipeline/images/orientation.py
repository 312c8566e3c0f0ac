"""EXIF orientation: how an image is turned to be looked at. A broken block is one without the tag:
the pixels are usable, and every viewer shows them."""

from __future__ import annotations

import contextlib

from PIL import ExifTags, Image, ImageOps

UPRIGHT = 1
_SIDEWAYS = 5


def orientation(image: Image.Image) -> int:
    """1 to 8; 1: as it stands. From 5 on width and height change places."""
    value: object = UPRIGHT
    with contextlib.suppress(Exception):  # readers of EXIF raise whatever a block makes them
        value = image.getexif().get(ExifTags.Base.Orientation, UPRIGHT)
    return value if isinstance(value, int) and UPRIGHT <= value <= 8 else UPRIGHT


def upright_size(image: Image.Image) -> tuple[int, int]:
    """(width, height) of an image that is opened and not loaded, as it is looked at."""
    width, height = image.size
    if image.format == "TIFF":  # Pillow's reader of TIFF says the upright size already
        return width, height
    return (height, width) if orientation(image) >= _SIDEWAYS else (width, height)


def turn_upright(image: Image.Image) -> None:
    """Turn a loaded image in place: Pillow's other way copies it.

    Raises:
        MemoryError: there is not enough for the turned pixels.
    """
    if orientation(image) == UPRIGHT:
        return
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except MemoryError:
        raise
    except Exception:
        # The pixels are turned first; then EXIF is written anew, which a broken block refuses.
        return
