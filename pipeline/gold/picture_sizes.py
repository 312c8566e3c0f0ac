"""Sizes of images that a gold file does not give: read from the images' headers."""

from __future__ import annotations

from typing import Any

from pipeline.gold.checks import image_size as written_size
from pipeline.gold.gold_set import GoldCounts
from pipeline.images.decode import ImageLimits, image_size
from pipeline.images.fetch import read_image_uri
from schemas.errors import DataError, RecordError

NO_SIZE = "image whose size is not in the file and that cannot be read (is --image-root right?)"
ODD_SIZE = "width and height must be at least 1 and whole: the size of the image was taken"
ENDLESS = (2**31 - 1, 2**31 - 1)
ANY_SIZE = ImageLimits(min_side_px=1, max_aspect=1e9, max_pixels=2**62)


def picture_size(uri: str) -> tuple[int, int] | None:
    """Upright (width, height) of an image, or None where it cannot be read."""
    try:
        return size_in(read_image_uri(uri))
    except RecordError:
        return None


def size_in(data: bytes) -> tuple[int, int] | None:
    """Upright (width, height) of an encoded image, or None where it is none."""
    try:
        return image_size(data, ANY_SIZE)
    except RecordError:
        return None


def entry_size(
    entry: Any, uri: str, where: str, counts: GoldCounts, *, needed: bool = True
) -> tuple[int, int] | None:
    """(width, height) that an entry says, else of its image; None where that cannot be read, which
    is counted. Training code reads such files: it takes the size of the picture. Where sizes are
    not `needed`, one that no box leaves stands for a size that is not said."""
    try:
        return written_size(entry, where)
    except DataError as error:
        if entry.get("width") is not None or entry.get("height") is not None:
            counts[f"clipped: {ODD_SIZE}"] += 1
            if counts.report is not None:
                counts.report("", str(error))  # the message has its place
    if not needed:
        return ENDLESS
    size_wh = picture_size(uri)
    if size_wh is None:
        counts.drop(NO_SIZE, where=where)
    return size_wh
