"""Every PIL mode as 8-bit RGB. One rule per mode, a function of the pixels alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

_WHITE = (255, 255, 255, 255)
_DEEP_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
_ALPHA_MODES = ("RGBA", "LA", "PA", "RGBa", "La")


def to_rgb(image: Image.Image) -> Image.Image:
    """The image in mode RGB: transparency over white, deep pixels scaled to 8 bits."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode in _DEEP_MODES:
        return Image.fromarray(_eight_bits(np.asarray(image))).convert("RGB")
    if image.mode == "LAB":
        return _lab_to_rgb(image)
    # RGBa and La are premultiplied and convert only by way of their plain forms.
    if image.mode in _ALPHA_MODES or "transparency" in image.info:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, _WHITE), rgba).convert("RGB")
    return image.convert("RGB")


def _eight_bits(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Deep grey values as uint8 [height, width].

    Unsigned 16-bit values are divided by 257. Wider integers and floats have no agreed range: up
    to 1 (floats), 255 and 65535 are taken as full scale where the values fit, else the image's
    own minimum and maximum. What is not finite becomes 0.
    """
    if values.dtype == np.uint16 or values.dtype == np.dtype(">u2"):
        return (values.astype(np.uint32) // 257).astype(np.uint8)
    is_float = values.dtype.kind == "f"
    wide = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(wide.min()), float(wide.max())
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
