"""Whether an image's file ends as its format says, without decoding those that do."""

from __future__ import annotations

from pipeline.images.decode import ImageLimits, decode_image

_TAIL = 64
"""An end mark stands in so many last bytes; cameras and tools append a few more."""
_END_OF = {b"\xff\xd8": b"\xff\xd9", b"\x89PNG": b"IEND"}
_RIFF_HEAD = 8


def require_whole(data: bytes, limits: ImageLimits) -> None:
    """Decode an image whose file may have been cut off; one that ends well is not decoded.

    Raises:
        RecordError: it cannot be decoded to its end.
    """
    if not ends_well(data):
        decode_image(data, limits)


def ends_well(data: bytes) -> bool:
    """True where the end mark of a JPEG or PNG stands at its end, or a WebP is as long as it says.

    False for every other format, and for a file with much behind its end: only decoding tells.
    """
    if data.startswith(b"RIFF"):
        return int.from_bytes(data[4:8], "little") + _RIFF_HEAD <= len(data)
    return any(data.startswith(start) and end in data[-_TAIL:] for start, end in _END_OF.items())
