"""Bytes from strangers to upright RGB pixels, or the reason why not."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.images import decode
from pipeline.images.decode import ImageLimits, decode_image, image_size
from pipeline.images.fetch import read_image_uri
from schemas.errors import ConfigError, RecordError
from schemas.records import Status

LIMITS = ImageLimits()


def encode(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def halves(mode: str = "RGB", size: tuple[int, int] = (40, 20)) -> Image.Image:
    """Left red, right blue."""
    image = Image.new("RGB", size, (220, 0, 0))
    image.paste((0, 0, 220), (size[0] // 2, 0, *size))
    return image.convert(mode)


@pytest.mark.parametrize(
    "mode, kind",
    [
        *(("RGB", kind) for kind in ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM")),
        ("L", "PNG"),
        ("LA", "PNG"),
        ("1", "PNG"),
        ("P", "PNG"),
        ("RGBA", "PNG"),
        ("CMYK", "JPEG"),
        ("YCbCr", "JPEG"),
        ("I;16", "PNG"),
        ("F", "TIFF"),
        ("LAB", "TIFF"),
    ],
)
def test_every_mode_becomes_rgb(mode: str, kind: str) -> None:
    image = halves("L").convert(mode) if mode == "F" else halves(mode if mode != "I;16" else "L")
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
    found = decode_image(encode(image, kind), LIMITS)
    assert found.array.shape == (20, 40, 3)
    assert found.array.dtype == np.uint8
    assert (found.width, found.height) == (40, 20)
    assert found.array.max() > 40
    if mode in ("RGB", "RGBA", "P", "YCbCr"):
        left, right = found.array[:, 5].mean(0), found.array[:, 35].mean(0)
        assert left[0] > 180
        assert right[2] > 180


def test_transparent_pixels_lie_over_white() -> None:
    image = Image.new("RGBA", (16, 16), (0, 0, 0, 0))
    assert decode_image(encode(image, "PNG"), LIMITS).array.min() == 255


@pytest.mark.parametrize(
    "tag, corner",
    [(1, "tl"), (2, "tr"), (3, "br"), (4, "bl"), (5, "tl"), (6, "tr"), (7, "br"), (8, "bl")],
)
def test_exif_orientation_is_applied(tag: int, corner: str) -> None:
    """A white corner, top left of the stored pixels, is where the tag says; sizes agree."""
    image = Image.new("RGB", (48, 24))
    image.paste((255, 255, 255), (0, 0, 8, 8))
    exif = Image.Exif()
    exif[0x0112] = tag
    data = encode(image, "PNG", exif=exif)
    array = decode_image(data, LIMITS).array
    height, width = array.shape[:2]
    assert (width, height) == image_size(data, LIMITS) == ((24, 48) if tag >= 5 else (48, 24))
    y, x = (4 if corner[0] == "t" else height - 5), (4 if corner[1] == "l" else width - 5)
    assert array[y, x].min() == 255
    assert int((array.min(2) == 255).sum()) == 64


def bomb(width: int, height: int) -> bytes:
    """A PNG header that announces so many pixels, with next to no data."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


@pytest.mark.parametrize(
    "data, status, said",
    [
        (b"", Status.IMAGE_CORRUPT, "0 bytes"),
        (b"<html>not found</html>", Status.IMAGE_CORRUPT, "not an image of a format"),
        (encode(halves(), "JPEG")[:200], Status.IMAGE_CORRUPT, ""),
        (encode(halves(size=(400, 300)), "PNG")[:-400], Status.IMAGE_CORRUPT, "cannot be decoded"),
        (bomb(60_000, 60_000), Status.IMAGE_TOO_LARGE, "60000"),
        (bomb(0, 5), Status.IMAGE_CORRUPT, ""),
        (encode(Image.new("RGB", (1, 1)), "PNG"), Status.IMAGE_TOO_SMALL, "1"),
        (encode(Image.new("RGB", (4000, 10)), "PNG"), Status.IMAGE_TOO_LARGE, "4000"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", Status.IMAGE_CORRUPT, "not an"),
    ],
)
def test_what_cannot_be_used_says_why(data: bytes, status: Status, said: str) -> None:
    with pytest.raises(RecordError) as caught:
        decode_image(data, LIMITS)
    assert caught.value.status == status
    assert said.replace(",", "") in caught.value.detail.replace(",", "")


def test_animated_images_give_their_first_frame() -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    data = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode_image(data, LIMITS).array[8, 8].tolist() == [255, 0, 0]


@pytest.mark.parametrize(
    "options, said",
    [
        ({"max_pixels": 0}, "max_pixels must be at least 1, got 0"),
        ({"min_side_px": 0}, "min_side_px must be at least 1, got 0"),
        ({"max_aspect": float("nan")}, "max_aspect must be a number >= 1, got nan"),
    ],
)
def test_limits_are_checked(options, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        ImageLimits(**options)


@pytest.mark.parametrize(
    "uri, said",
    [
        ("", "names no image"),
        ("a\0b", "names no image"),
        ("nowhere.png", "nowhere.png"),
        ("nowhere.tar#a.png", "nowhere.tar"),
        ("nowhere.parquet#0/image", "nowhere.parquet"),
    ],
)
def test_addresses_that_lead_nowhere(uri: str, said: str, tmp_path: Path) -> None:
    address = str(tmp_path / uri) if uri.startswith("nowhere") else uri
    with pytest.raises(RecordError) as caught:
        read_image_uri(address)
    assert caught.value.status == Status.IMAGE_MISSING
    assert said in caught.value.detail


def test_a_file_whose_name_holds_a_hash_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.tar#b.png"
    path.write_bytes(b"data")
    assert read_image_uri(str(path)) == b"data"


def test_heic_is_read_where_its_package_is(monkeypatch: pytest.MonkeyPatch) -> None:
    import pillow_heif

    pillow_heif.register_heif_opener()
    data = encode(halves(), "HEIF", quality=90)
    found = decode_image(data, LIMITS)
    assert (found.width, found.height) == (40, 20)
    assert found.array[10, 5, 0] > 180
    assert found.array[10, 35, 2] > 180
    assert image_size(data, LIMITS) == (40, 20)
    monkeypatch.setattr(decode, "_opens_heif", lambda: False)
    with pytest.raises(
        RecordError, match=r"HEIC, which needs pillow-heif: pip install 'glipforge\[heic"
    ):
        decode_image(data, LIMITS)


@pytest.mark.parametrize("data", [b"hi\n", b"a", b"GIF", b"BM", b"\xff\xd8\xff"])
def test_a_few_bytes_are_no_image(data: bytes) -> None:
    with pytest.raises(RecordError, match="not an image of a format that is read"):
        decode_image(data, ImageLimits())
