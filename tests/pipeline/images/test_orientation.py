from __future__ import annotations

import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageFile

from pipeline.images.decode import ImageLimits, decode_image, image_size
from pipeline.images.orientation import UPRIGHT, orientation
from schemas.errors import ConfigError

TAG = ExifTags.Base.Orientation


def encoded(kind: str, tag: int | None) -> bytes:
    """24 x 12, white but for a black upper left corner."""
    array = np.full((12, 24, 3), 255, np.uint8)
    array[:6, :6] = 0
    exif, buffer = Image.Exif(), io.BytesIO()
    if tag is not None:
        exif[TAG] = tag
    Image.fromarray(array).save(buffer, kind, exif=exif)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("tag", [None, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
def test_size_and_pixels_agree(kind: str, tag: int | None) -> None:
    data = encoded(kind, tag)
    found = decode_image(data, ImageLimits())
    turned = tag in (5, 6, 7, 8)
    assert (found.width, found.height) == ((12, 24) if turned else (24, 12))
    assert image_size(data, ImageLimits()) == (found.width, found.height)
    corner = {2: (0, -1), 3: (-1, -1), 4: (-1, 0), 6: (0, -1), 7: (-1, -1), 8: (-1, 0)}
    row, column = corner.get(tag or 1, (0, 0))
    assert found.array[row, column].max() < 60


def test_a_broken_block_is_no_tag() -> None:
    image = Image.new("RGB", (4, 2))
    image.info["exif"] = b"Exif\0\0II*\0\xff\xff\xff\xff"
    assert orientation(image) == UPRIGHT


def test_half_images_are_never_let_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with pytest.raises(ConfigError, match=r"LOAD_TRUNCATED_IMAGES must be False, got True"):
        decode_image(encoded("PNG", None), ImageLimits())


def test_nothing_of_pil_is_changed_and_its_guard_is_not_ours() -> None:
    code = (
        "import io, warnings; warnings.simplefilter('error')\n"
        "from PIL import Image, ImageFile\n"
        "before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES\n"
        "from pipeline.images.decode import ImageLimits, image_size, decode_image\n"
        "assert (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES) == before\n"
        "buffer = io.BytesIO(); Image.new('1', (40, 30)).save(buffer, 'PNG')\n"
        "Image.MAX_IMAGE_PIXELS = 100\n"
        "print(image_size(buffer.getvalue(), ImageLimits()))\n"
        "print(decode_image(buffer.getvalue(), ImageLimits()).width)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.split("\n")[:2] == ["(40, 30)", "40"], done.stderr
