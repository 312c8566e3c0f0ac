"""Sizes of images that a gold file does not give: read from the images' headers."""

from __future__ import annotations

from pipeline.images.decode import ImageLimits, image_size
from pipeline.images.fetch import read_image_uri
from schemas.errors import RecordError

NO_SIZE = "image whose size is not in the file and that cannot be read (is image_root right?)"
ANY_SIZE = ImageLimits(min_side_px=1, max_aspect=1e9, max_pixels=2**62)


def picture_size(uri: str) -> tuple[int, int] | None:
    """Upright (width, height) of an image, or None where it cannot be read."""
    try:
        return image_size(read_image_uri(uri), ANY_SIZE)
    except RecordError:
        return None
