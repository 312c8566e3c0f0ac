"""What a picture of a stranger may hide: work and memory that its size does not show.

All of it is read from headers, before a decoder is let at the pixels. And what a file is that is
not a picture, said without showing its bytes: a corpus may name any file.
"""

from __future__ import annotations

import re
import struct

from PIL import Image

from schemas.errors import RecordError
from schemas.records import Status

FREE_SCANS = 24
"""Scans of a progressive JPEG that are always decoded; encoders make about ten."""
MAX_SCAN_PIXELS = 1_000_000_000
"""Scans times pixels beyond that: about ten seconds of decoding."""
_PPM = tuple(b"P" + kind for kind in (b"0", b"1", b"2", b"3", b"4", b"5", b"6", b"f", b"F", b"y"))
_PPM_HEADER = 1 << 16
_BITMAPS = (b"P1", b"P4")
_ICON = b"\0\0\1\0"
_PNG = b"\x89PNG\r\n\x1a\n"
_TEXTS = (b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"eXIf")
_TILE_WIDTH, _TILE_LENGTH = 322, 323
_SHOWN = 200


def require_modest(image: Image.Image, data: bytes, max_pixels: int) -> None:
    """Refuse an opened image whose decoding takes more than its size says.

    Raises:
        RecordError: IMAGE_TOO_LARGE, a tile is larger; IMAGE_CORRUPT, too many scans.
    """
    if image.format in ("JPEG", "MPO"):
        # A 0xff of the pixels is followed by a zero: only markers look like this.
        scans = data.count(b"\xff\xda")
        width, height = image.size
        if scans > FREE_SCANS and scans * width * height > MAX_SCAN_PIXELS:
            raise RecordError(
                Status.IMAGE_CORRUPT,
                f"a JPEG of {scans:,} scans; with {width} x {height} pixels at most "
                f"{max(FREE_SCANS, MAX_SCAN_PIXELS // (width * height)):,} are decoded",
            )
    elif image.format == "TIFF":
        tags = getattr(image, "tag_v2", {})
        width, height = (tags.get(tag, 1) for tag in (_TILE_WIDTH, _TILE_LENGTH))
        if isinstance(width, int) and isinstance(height, int):
            _require_pixels(width, height, max_pixels, "a tile of it")


def require_modest_icon(data: bytes, max_pixels: int) -> None:
    """Refuse an icon that holds a larger picture; Pillow decodes an icon when it is opened.

    Raises:
        RecordError: IMAGE_TOO_LARGE.
    """
    if data.startswith(_ICON):
        for width, height in _inner_sizes(data):
            _require_pixels(width, height, max_pixels, "the picture inside it")


def require_modest_header(data: bytes) -> None:
    """Refuse a PPM whose header goes on: Pillow reads it byte by byte, a minute for a comment.

    Raises:
        RecordError: IMAGE_CORRUPT.
    """
    if data.startswith(_PPM) and len(data) > _PPM_HEADER:
        head = re.sub(rb"#[^\r\n]*", b"", data[:_PPM_HEADER])
        # Its name, width and height; but for bitmaps a greatest value; then a blank.
        numbers = 2 if head.startswith(_BITMAPS) else 3
        if not re.match(rb"\S+(?:\s+\S+){%d}\s" % numbers, head):
            raise RecordError(
                Status.IMAGE_CORRUPT, f"a PPM whose header has more than {_PPM_HEADER:,} bytes"
            )


def without_texts(data: bytes) -> bytes:
    """A PNG without its texts, profile and EXIF block; other data as it is."""
    if not data.startswith(_PNG):
        return data
    kept, position = [_PNG], len(_PNG)
    while position + 8 <= len(data):
        (length,) = struct.unpack(">I", data[position : position + 4])
        stop = position + 12 + length
        if data[position + 4 : position + 8] not in _TEXTS:
            kept.append(data[position:stop])
        position = stop
    return b"".join(kept)


def said(error: Exception) -> str:
    """A decoder's error without the bytes that it may quote."""
    text = re.sub(r"b?'[^']*'|b?\"[^\"]*\"", "...", str(error))
    if "token" in text.lower() or "ascii" in text.lower():
        text = "broken text in its header"
    return f"{type(error).__name__}: {text[:_SHOWN]}"


def is_heif(data: bytes) -> bool:
    """True for the pictures of telephones, by the brand of their container."""
    brands = (b"heic", b"heix", b"mif1", b"msf1", b"hevc", b"heim")
    return data[4:8] == b"ftyp" and data[8:12].lower() in brands


def kind_of(data: bytes) -> str:
    """What a file is that is not a picture of ours, in words."""
    head = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if is_heif(data):
        return "HEIC, which needs pillow-heif: pip install 'glipforge[heic]'"
    for start, kind in _KINDS.items():
        if head.startswith(start):
            return kind
    if b"<html" in head:
        return "HTML: the server sent a page"
    if b"<svg" in head:
        return "SVG, a drawing without pixels"
    if not any(data[:4096]):
        return "zeros"
    if b"\0" not in data[:1024]:
        try:
            data[:1021].decode("utf-8", "strict" if len(data) < 1021 else "ignore")
            return "text"
        except UnicodeDecodeError:
            pass
    return "an unknown kind"


_KINDS = {
    b"<!doctype html": "HTML: the server sent a page",
    b"<html": "HTML: the server sent a page",
    b"<svg": "SVG, a drawing without pixels",
    b"%pdf": "PDF",
    b"%!ps": "PostScript, which is never run",
    b"pk\x03\x04": "a ZIP archive",
    b"\x1f\x8b": "gzip data",
    b"\xff\xd8\xff": "a JPEG that ends in its header",
    b"\x89png": "a PNG that ends in its header",
    b"{": "JSON or text",
    b"[": "JSON or text",
    b"version https://git-lfs": "a Git LFS pointer: fetch the file itself with `git lfs pull`",
}


def _require_pixels(width: int, height: int, max_pixels: int, what: str) -> None:
    if width * height > max_pixels:
        raise RecordError(
            Status.IMAGE_TOO_LARGE,
            f"{what} has {width} x {height} = {width * height:,} pixels; at most {max_pixels:,} "
            "are decoded",
        )


def _inner_sizes(data: bytes) -> list[tuple[int, int]]:
    """(width, height) of the pictures in an icon, from their own headers."""
    sizes: list[tuple[int, int]] = []
    count = int.from_bytes(data[4:6], "little")
    for place in range(6, min(6 + 16 * count, len(data) - 15), 16):
        (start,) = struct.unpack("<I", data[place + 12 : place + 16])
        head = data[start : start + 24]
        if head.startswith(_PNG) and len(head) == 24:
            width, height = struct.unpack(">II", head[16:24])
            sizes.append((width, height))
        elif len(head) >= 12:
            width, height = struct.unpack("<ii", head[4:12])
            sizes.append((abs(width), abs(height) // 2))  # the mask lies below the picture
    return sizes
