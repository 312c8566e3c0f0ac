"""Pictures that cost more than their size says, and files that are not pictures."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps, PngImagePlugin

from pipeline.images.decode import ImageLimits, decode_image, image_size
from pipeline.images.fetch import read_image_uri
from schemas.errors import RecordError
from schemas.records import Status

LIMITS = ImageLimits(max_pixels=1_000_000)


def encode(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int) -> bytes:
    """All zeros, one bit a pixel."""
    rows = zlib.compress(bytes((1 + (width + 7) // 8) * height))
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


def icon(*pictures: bytes) -> bytes:
    """Each announced as 32 x 32."""
    start = 6 + 16 * len(pictures)
    entries, body = b"", b""
    for picture in pictures:
        entries += struct.pack("<BBBBHHII", 32, 32, 0, 0, 1, 32, len(picture), start + len(body))
        body += picture
    return struct.pack("<HHH", 0, 1, len(pictures)) + entries + body


def dib(width: int, height: int) -> bytes:
    return struct.pack("<IiiHHIIiiII", 40, width, height, 1, 32, 0, 0, 0, 0, 0, 0)


def scans(count: int) -> bytes:
    """A progressive JPEG of 400 x 300 whose last scan comes again and again."""
    image = Image.fromarray(np.random.default_rng(1).integers(0, 255, (300, 400, 3), np.uint8))
    data = encode(image, "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * count + b"\xff\xd9"


@pytest.mark.parametrize(
    "data, status, said",
    [
        (icon(png(4000, 4000)), Status.IMAGE_TOO_LARGE, "picture inside it has 4000 x 4000"),
        (icon(png(32, 32), png(9000, 9000)), Status.IMAGE_TOO_LARGE, "9000 x 9000"),
        (icon(dib(30000, 60000)), Status.IMAGE_TOO_LARGE, "30000 x 30000"),
        (icon(dib(-(2**31), -(2**31))), Status.IMAGE_TOO_LARGE, "picture inside it"),
        (icon()[:5], Status.IMAGE_CORRUPT, ""),
        (icon(png(32, 32))[:20], Status.IMAGE_CORRUPT, ""),
        (scans(9000), Status.IMAGE_CORRUPT, "a JPEG of 9,0"),
    ],
)
def test_work_that_its_size_does_not_show_is_refused(
    data: bytes, status: Status, said: str
) -> None:
    for look in (decode_image, image_size):
        with pytest.raises(RecordError) as caught:
            look(data, LIMITS)
        assert caught.value.status == status
        assert said in caught.value.detail


def test_usual_icons_and_scans_are_decoded() -> None:
    assert decode_image(icon(encode(Image.new("RGB", (32, 32)), "PNG")), LIMITS).width == 32
    assert decode_image(encode(Image.new("RGBA", (48, 48)), "ICO"), LIMITS).width == 48
    assert decode_image(scans(5), LIMITS).width == 400


def test_a_tile_larger_than_the_picture_is_refused() -> None:
    tags = {256: 64, 257: 64, 258: 8, 259: 8, 262: 1, 322: 60_000, 323: 60_000, 324: 8, 325: 4}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    data = struct.pack("<2sHIIH", b"II", 42, 12, 0, len(tags)) + entries + bytes(4)
    with pytest.raises(RecordError, match="a tile of it has"):
        decode_image(data, LIMITS)


def test_long_texts_and_profiles_cost_no_picture() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("comment", "x" * 3_000_000, zip=True)
    image = Image.new("RGB", (20, 10), (200, 10, 10))
    for data in (
        encode(image, "PNG", pnginfo=info),
        encode(image, "PNG", icc_profile=bytes(3_000_000)),
    ):
        found = decode_image(data, LIMITS)
        assert found.array[5, 5].tolist() == [200, 10, 10]
        assert image_size(data, LIMITS) == (20, 10)


def test_strips_are_the_whole_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.images.pixel_modes.STRIP_PIXELS", 100)
    monkeypatch.setattr("pipeline.images.decode._LARGE_PIXELS", 1)
    pixels = np.random.default_rng(3).integers(0, 255, (37, 41, 3), np.uint8)
    found = decode_image(encode(Image.fromarray(pixels), "PNG"), LIMITS)
    assert (found.array == pixels).all()
    assert found.array.flags.writeable


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "I", "F", "I;16", "LAB", "CMYK", "1"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_picture_in_strips_is_what_pillow_turns(
    mode: str, orientation: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = np.random.default_rng(5).integers(0, 255, (23, 31), np.uint8)
    image = Image.fromarray(values)
    if mode == "I;16":
        image = Image.fromarray(values.astype(np.uint16) * 257)
    elif mode == "F":
        image = Image.fromarray(values.astype(np.float32) * 1e6 - 5)
    elif mode == "LAB":
        image = Image.merge("LAB", [image, image.rotate(180), image])
    else:
        image = image.convert(mode)
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(image, "TIFF", exif=exif)
    whole = decode_image(data, LIMITS).array
    monkeypatch.setattr("pipeline.images.pixel_modes.STRIP_PIXELS", 90)
    assert (decode_image(data, LIMITS).array == whole).all()
    plain = Image.fromarray(decode_image(encode(image, "TIFF"), LIMITS).array)
    plain.getexif()[0x0112] = orientation
    assert (np.asarray(ImageOps.exif_transpose(plain)) == whole).all()


@pytest.mark.parametrize(
    "data, said",
    [
        (b"root:x:0:0:root:/root:/bin/bash\n", "text"),
        (b"  <!DOCTYPE HTML><p>secret-word</p>", "HTML"),
        (b"\xef\xbb\xbf<html>secret-word", "HTML"),
        (b"<?xml version='1.0'?><svg>secret-word</svg>", "SVG"),
        (b'{"password": "secret-word"}', "JSON"),
        (b"\0\0\0\x18ftypheic\0\0", "HEIC"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"P6 secret-word secret-word", ""),
        (b"P1 secret-word secret-word", ""),
        (b"GIF89asecret-word", ""),
        (b"BMsecret-wordsecret-wordsecret-word", ""),
        (b"\x89PNG\r\n\x1a\nsecret-wordsecret-word", ""),
        (b"II*\0secret-wordsecret-word", ""),
        (b"\xff\xd8\xff\xe0secret-wordsecret-word", ""),
        (bytes(100), "zeros"),
        (b"", "0 bytes"),
    ],
)
def test_bytes_of_a_file_are_never_in_a_message(data: bytes, said: str) -> None:
    with pytest.raises(RecordError) as caught:
        decode_image(data, LIMITS)
    assert said in caught.value.detail
    for secret in ("secret", "root:", "password"):
        assert secret not in caught.value.detail


def test_pipes_devices_and_folders_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "link.jpg").symlink_to(tmp_path / "pipe.jpg")
    for address, kind in (
        (tmp_path / "pipe.jpg", "named pipe"),
        (tmp_path / "link.jpg", "named pipe"),
        ("/dev/zero", "character device"),
        (tmp_path / "folder.jpg", "folder"),
        (tmp_path / ("x" * 300), "too long"),
        (tmp_path / "no" / "where.jpg", "cannot be read: does not exist"),
    ):
        with pytest.raises(RecordError, match=kind) as caught:
            read_image_uri(str(address))
        assert caught.value.status == Status.IMAGE_MISSING


def test_a_header_of_comments_is_refused_at_once() -> None:
    usual = b"P6\n# a note\n20 10\n255\n" + bytes(600)
    assert decode_image(usual, LIMITS).width == 20
    bitmap = b"P4\n# " + b"x" * 300 + b"\n96 90\n" + bytes(12 * 90)
    assert decode_image(bitmap + bytes(70_000), LIMITS).width == 96
    assert image_size(b"P4\n1000 1000\n" + b" " * 125_000, LIMITS) == (1000, 1000)
    with pytest.raises(RecordError, match="a PPM whose header has more than"):
        image_size(b"P6\n20 10\n255#" + b"c" * 80_000, LIMITS)
    for comment in (b"#" + b"c" * 80_000, b"#c\n" * 30_000, b" " * 80_000):
        with pytest.raises(RecordError, match="a PPM whose header has more than 65,536 bytes"):
            image_size(b"P6\n" + comment + b"\n20 10\n255\n" + bytes(600), LIMITS)
