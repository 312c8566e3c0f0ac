"""Every PIL mode as 8-bit RGB. One rule per mode, a function of the pixels alone.

A large picture goes through in strips: some modes need forty bytes a pixel on their way.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

STRIP_PIXELS = 1 << 20

_WHITE = (255, 255, 255, 255)
_DEEP_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
_RANGED_MODES = ("I", "F")
_ALPHA_MODES = ("RGBA", "LA", "PA", "RGBa", "La")


Range = tuple[float, float]


def write_rgb(image: Image.Image, out: NDArray[np.uint8]) -> None:
    """Put the pixels of a loaded image into `out`, uint8 [height, width, 3]."""
    values = _range(image) if image.mode in _RANGED_MODES else (0.0, 0.0)
    for top, strip in _strips(image):
        out[top : top + strip.size[1]] = np.asarray(_to_rgb(strip, values))


def _strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    width, height = image.size
    rows = max(1, STRIP_PIXELS // width)
    if rows >= height:
        yield 0, image
        return
    for top in range(0, height, rows):
        yield top, image.crop((0, top, width, min(height, top + rows)))


def _to_rgb(image: Image.Image, values: Range) -> Image.Image:
    """The image in mode RGB: transparency over white, deep pixels scaled to 8 bits."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode in _DEEP_MODES:
        return Image.fromarray(_eight_bits(np.asarray(image), values)).convert("RGB")
    if image.mode == "LAB":
        return _lab_to_rgb(image)
    # RGBa and La are premultiplied and convert only by way of their plain forms.
    if image.mode in _ALPHA_MODES or "transparency" in image.info:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, _WHITE), rgba).convert("RGB")
    return image.convert("RGB")


def _range(image: Image.Image) -> Range:
    """Least and greatest of an image's deep values, what is not finite as 0."""
    least, greatest = float("inf"), float("-inf")
    for _, strip in _strips(image):
        values = _finite(np.asarray(strip))
        least, greatest = min(least, float(values.min())), max(greatest, float(values.max()))
    return least, greatest


def _finite(values: NDArray[np.generic]) -> NDArray[np.float64]:
    return np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)


def _eight_bits(values: NDArray[np.generic], least_and_greatest: Range) -> NDArray[np.uint8]:
    """Deep grey values as uint8 [height, width].

    Unsigned 16-bit values are divided by 257. Wider integers and floats have no agreed range: up
    to 1 (floats), 255 and 65535 are taken as full scale where the values fit, else the image's
    own minimum and maximum. What is not finite becomes 0.
    """
    if values.dtype == np.uint16 or values.dtype == np.dtype(">u2"):
        return (values.astype(np.uint32) // 257).astype(np.uint8)
    is_float = values.dtype.kind == "f"
    wide = _finite(values)
    low, high = least_and_greatest
    if low < 0 or high > 65535:
        span = high - low
        scaled = (wide - low) * (255.0 / span) if span > 0 else np.zeros_like(wide)
    elif is_float and high <= 1:
        scaled = wide * 255.0
    elif high <= 255:
        scaled = wide
    else:
        scaled = wide / 257.0
    return scaled.round().clip(0, 255).astype(np.uint8)


def _lab_to_rgb(image: Image.Image) -> Image.Image:
    transform = ImageCms.buildTransform(
        ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB"
    )
    converted = ImageCms.applyTransform(image, transform)
    if converted is None:
        raise ValueError("the LAB image cannot be converted to RGB")
    return converted
