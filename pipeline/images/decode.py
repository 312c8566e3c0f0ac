"""Image bytes to upright RGB pixels: every PIL mode, EXIF orientation, size caps, named failures.

The bytes come from strangers. Only the formats listed here are opened (PIL would start external
programs for some others), sizes are checked from the header before a pixel is decoded, and
whatever a decoder raises becomes a `RecordError`. Everything here is pure and thread-safe; PIL
releases the GIL while it decodes.
"""

from __future__ import annotations

import contextlib
import io
import math
import struct
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, UnidentifiedImageError

from pipeline.images.hostile import (
    is_heif,
    kind_of,
    require_modest,
    require_modest_header,
    require_modest_icon,
    said,
    without_texts,
)
from pipeline.images.orientation import SIDEWAYS, as_stored, orientation, upright_size
from pipeline.images.pixel_modes import write_rgb
from schemas.errors import ConfigError, RecordError
from schemas.fingerprint import sha256_bytes
from schemas.records import Status

FORMATS = (
    "JPEG",
    "PNG",
    "WEBP",
    "GIF",
    "BMP",
    "DIB",
    "TIFF",
    "PPM",
    "AVIF",
    "JPEG2000",
    "ICO",
)
"""PIL's names of the formats that are opened; HEIF too where pillow-heif is installed."""
# PIL remarks on damage in headers, for a million pictures on stderr; rows say what matters.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)

_LARGE_PIXELS = 32_000_000
_large = threading.Lock()
NewArray = Callable[[int, int], NDArray[np.uint8]]
"""(height, width) -> uint8 [height, width, 3] to be filled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageLimits:
    """Which images are worth decoding. All are checked before a pixel is decoded."""

    max_pixels: int = 178_956_970
    """Width times height; as PIL's own limit, 512 MiB of RGB."""
    min_side_px: int = 8
    """The shorter side; below it there is nothing to find."""
    max_aspect: float = 100.0
    """Longer side over shorter side."""

    def __post_init__(self) -> None:
        if self.max_pixels < 1:
            raise ConfigError(f"max_pixels must be at least 1, got {self.max_pixels}")
        if self.min_side_px < 1:
            raise ConfigError(f"min_side_px must be at least 1, got {self.min_side_px}")
        if not (math.isfinite(self.max_aspect) and self.max_aspect >= 1):
            raise ConfigError(f"max_aspect must be a number >= 1, got {self.max_aspect}")


NO_LIMITS = ImageLimits(max_pixels=2**40, min_side_px=1, max_aspect=1e9)
"""For an image that passed the limits of its own run when it was labelled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedImage:
    """Pixels as they should be looked at.

    array: uint8 RGB [height, width, 3], EXIF orientation applied.
    sha256: of the encoded bytes, in hex.
    """

    array: NDArray[np.uint8]
    width: int
    height: int
    sha256: str


def _new_array(height: int, width: int) -> NDArray[np.uint8]:
    return np.empty((height, width, 3), np.uint8)


def decode_image(
    data: bytes, limits: ImageLimits, new_array: NewArray = _new_array
) -> DecodedImage:
    """Decode the first frame, upright, as RGB.

    Transparent pixels are laid over white; 16-bit and float pixels are scaled to 8 bits. Takes
    seven bytes a pixel in most formats; `pipeline.images.decoders` holds the others to a limit.

    Args:
        data: The encoded image.
        limits: Which are decoded.
        new_array: Where the pixels go.

    Raises:
        RecordError: IMAGE_CORRUPT, IMAGE_TOO_LARGE or IMAGE_TOO_SMALL, with the reason.
        ConfigError: this process lets PIL decode half an image.
    """
    if not data:
        raise RecordError(Status.IMAGE_CORRUPT, "the image has 0 bytes")
    if ImageFile.LOAD_TRUNCATED_IMAGES:
        raise ConfigError(
            "PIL.ImageFile.LOAD_TRUNCATED_IMAGES must be False, got True: some program in this "
            "process has set it, and half an image would pass as a whole one"
        )
    try:
        with open_image(data, limits.max_pixels) as image:
            _check_size(image.size, limits)
            require_modest(image, data, limits.max_pixels)
            with _one_at_a_time(image.size):
                # Some containers name a size in the header and hold frames of another.
                image.load()
                _check_size(image.size, limits)
                array = _upright_array(image, new_array)
    except RecordError:
        raise
    except UnidentifiedImageError as error:
        raise RecordError(Status.IMAGE_CORRUPT, _not_an_image(data)) from error
    except MemoryError as error:
        raise RecordError(
            Status.IMAGE_TOO_LARGE, "decoding needs more memory than there is"
        ) from error
    except Exception as error:
        # Decoders raise OSError, SyntaxError, ValueError, struct.error, IndexError and others.
        raise RecordError(Status.IMAGE_CORRUPT, f"cannot be decoded: {said(error)}") from error
    height, width = array.shape[:2]
    return DecodedImage(array=array, width=width, height=height, sha256=sha256_bytes(data))


def image_size(data: bytes, limits: ImageLimits) -> tuple[int, int]:
    """Upright (width, height) from the header alone; nothing is decoded.

    Raises:
        RecordError: it is not an image, or its size is outside of the limits.
    """
    try:
        with open_image(data, limits.max_pixels) as image:
            _check_size(image.size, limits)
            require_modest(image, data, limits.max_pixels)
            return upright_size(image)
    except RecordError:
        raise
    except UnidentifiedImageError as error:
        raise RecordError(Status.IMAGE_CORRUPT, _not_an_image(data)) from error
    except Exception as error:
        raise RecordError(Status.IMAGE_CORRUPT, f"has a broken header: {said(error)}") from error


def _check_size(size_wh: tuple[int, int], limits: ImageLimits) -> None:
    width, height = size_wh
    if min(width, height) < limits.min_side_px:
        raise RecordError(
            Status.IMAGE_TOO_SMALL,
            f"{width} x {height} pixels; the shorter side must have at least {limits.min_side_px}",
        )
    if width * height > limits.max_pixels:
        raise RecordError(
            Status.IMAGE_TOO_LARGE,
            f"{width} x {height} = {width * height:,} pixels; at most {limits.max_pixels:,} "
            "are decoded",
        )
    if max(width, height) > limits.max_aspect * min(width, height):
        raise RecordError(
            Status.IMAGE_TOO_LARGE,
            f"{width} x {height} pixels; the longer side may be at most {limits.max_aspect:g} "
            "times the shorter",
        )


def _upright_array(image: Image.Image, new_array: NewArray) -> NDArray[np.uint8]:
    """The pixels, turned as they are copied: a turned copy would be as large again."""
    number, (width, height) = orientation(image), image.size
    array = new_array(width, height) if number >= SIDEWAYS else new_array(height, width)
    write_rgb(image, as_stored(array, number))
    return array


def open_image(data: bytes, max_pixels: int) -> Image.Image:
    """An image whose header is read; no pixel is decoded, but those of a small icon."""
    require_modest_icon(data, max_pixels)
    require_modest_header(data)
    if is_heif(data) and _opens_heif():
        return open_unguarded(io.BytesIO(data), ("HEIF",))
    try:
        return open_unguarded(io.BytesIO(data))
    except ValueError as error:
        # Pillow refuses a PNG for its texts and colour profile, which nobody asks for.
        if "MAX_TEXT" not in str(error):
            raise
        return open_unguarded(io.BytesIO(without_texts(data)))


def open_unguarded(file: IO[bytes], formats: tuple[str, ...] = FORMATS) -> Image.Image:
    """As `Image.open` with these formats, without its limit of pixels: that is a constant of the
    process, which belongs to whoever runs it, and ours is checked for every image.

    Raises:
        UnidentifiedImageError: it is not an image of these formats.
    """
    Image.init()
    file.seek(0)
    prefix = file.read(16)
    for name in formats:
        factory, accept = Image.OPEN.get(name, (None, None))
        # As `Image.open`: another format may fit. `accept` too may want more bytes than there are.
        with contextlib.suppress(SyntaxError, IndexError, TypeError, struct.error):
            if factory is None or (accept is not None and accept(prefix) is not True):
                continue
            file.seek(0)
            return factory(file, "")
    raise UnidentifiedImageError("cannot identify image file")


@cache
def _opens_heif() -> bool:
    """Tell Pillow about HEIC; False where the optional package is not installed."""
    if find_spec("pillow_heif") is None:
        return False
    import pillow_heif

    pillow_heif.register_heif_opener(thumbnails=False)
    return True


def _one_at_a_time(size_wh: tuple[int, int]) -> contextlib.AbstractContextManager[bool | None]:
    """Large images wait for each other: each takes seven bytes a pixel while it is decoded."""
    if size_wh[0] * size_wh[1] < _LARGE_PIXELS:
        return contextlib.nullcontext()
    return _large


def _not_an_image(data: bytes) -> str:
    return (
        f"not an image of a format that is read ({', '.join(FORMATS)}): {len(data):,} bytes of "
        f"{kind_of(data)}"
    )
