"""What the web puts into corpora: images and captions that break careless readers, each with the
status that its row must get."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image

from schemas.records import Status
from tests.corpus_builders import picture_bytes

SIZE = (32, 24)


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    """An encoded image."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png_chunk(kind: bytes, data: bytes) -> bytes:
    """One chunk of a PNG with its checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of_size(width: int, height: int, data: bytes = b"") -> bytes:
    """A PNG whose header announces so many pixels; `data` are the packed ones that it holds."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(data)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*part) for part in parts)


def _plain(mode: str = "RGB") -> Image.Image:
    pixels = np.random.default_rng(7).integers(0, 255, (SIZE[1], SIZE[0], 3), np.uint8)
    return Image.fromarray(pixels).convert(mode)


def _exif(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encode(_plain(), "JPEG", exif=exif)


def _sixteen_bits() -> bytes:
    deep = np.arange(SIZE[0] * SIZE[1], dtype=np.uint16).reshape(SIZE[1], SIZE[0]) * 80
    return encode(Image.fromarray(deep), "PNG")


def _animated(kind: str) -> bytes:
    others = [Image.new("RGB", SIZE, colour) for colour in ("red", "blue", "green")]
    return encode(_plain(), kind, save_all=True, append_images=others)


_JPEG = encode(_plain(), "JPEG")
_PNG = picture_bytes(3, SIZE)

IMAGES: dict[str, tuple[bytes, Status]] = {
    "empty": (b"", Status.IMAGE_CORRUPT),
    "a web page": (b"<!DOCTYPE html><html>404</html>", Status.IMAGE_CORRUPT),
    "svg": (
        b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
        Status.IMAGE_CORRUPT,
    ),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", Status.IMAGE_CORRUPT),
    "noise": (np.random.default_rng(1).bytes(2000), Status.IMAGE_CORRUPT),
    "zeros": (bytes(2000), Status.IMAGE_CORRUPT),
    "jpeg cut in its header": (_JPEG[:40], Status.IMAGE_CORRUPT),
    "jpeg cut in its pixels": (_JPEG[: len(_JPEG) * 2 // 3], Status.IMAGE_CORRUPT),
    "png cut in its pixels": (_PNG[: len(_PNG) * 2 // 3], Status.IMAGE_CORRUPT),
    "png with a spoilt chunk": (_PNG[:60] + b"\xff\x00\xff" + _PNG[63:], Status.IMAGE_CORRUPT),
    "jpeg called png": (_JPEG, Status.OK),
    "webp": (encode(_plain(), "WEBP"), Status.OK),
    "cmyk": (encode(_plain("CMYK"), "JPEG"), Status.OK),
    "16 bits": (_sixteen_bits(), Status.OK),
    "palette with transparency": (encode(_plain("P"), "PNG", transparency=0), Status.OK),
    "animated gif": (_animated("GIF"), Status.OK),
    "animated webp": (_animated("WEBP"), Status.OK),
    "1x1": (encode(Image.new("RGB", (1, 1)), "PNG"), Status.IMAGE_TOO_SMALL),
    "a line": (encode(Image.new("RGB", (4000, 9)), "PNG"), Status.IMAGE_TOO_LARGE),
    "bomb by its header": (png_of_size(60_000, 60_000), Status.IMAGE_TOO_LARGE),
    "bomb of zeros": (png_of_size(20_000, 20_000, bytes(1000)), Status.IMAGE_TOO_LARGE),
    "more pixels than data": (png_of_size(2000, 2000, bytes(1000)), Status.IMAGE_CORRUPT),
    "no width": (png_of_size(0, 5), Status.IMAGE_CORRUPT),
    **{f"exif {n}": (_exif(n), Status.OK) for n in range(1, 10)},
}
"""Name -> (bytes, status of a pair with them and a good caption). OK stands also for NO_BOXES."""

CAPTIONS: dict[str, tuple[Any, Status]] = {
    "none": (None, Status.CAPTION_MISSING),
    "empty": ("", Status.CAPTION_MISSING),
    "blank": (" \t\u00a0\n", Status.CAPTION_MISSING),
    "100 kB": ("a dog " * 17_000, Status.CAPTION_INVALID),
    "nul": ("a dog\0 and a cat", Status.CAPTION_INVALID),
    "latin-1": ("a caf\xe9".encode("latin-1"), Status.CAPTION_INVALID),
    "utf-16": ("a dog".encode("utf-16"), Status.CAPTION_INVALID),
    "cut in a character": ("a caf\xe9".encode()[:-1], Status.CAPTION_INVALID),
    "other scripts": ("\u4e00\u53ea\u72d7 \U0001f436 e\u0301 \u202eabc", Status.OK),
    "controls": ("a dog\x01\x1b[31m and\r\na cat\x7f", Status.OK),
    "it": ("it", Status.NO_PHRASES),
}
"""Name -> (text, or bytes that are not UTF-8; status of a pair with it and a good image)."""
