"""Small pictures and corpora for tests."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

from schemas.records import CorpusRecord


def picture_bytes(number: int = 0, size_wh: tuple[int, int] = (32, 24), kind: str = "PNG") -> bytes:
    """An encoded picture whose pixels depend on `number`."""
    rng = np.random.default_rng(number)
    width, height = size_wh
    pixels = rng.integers(0, 255, (height, width, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def make_record(number: int = 0, **changes: Any) -> CorpusRecord:
    """A good pair."""
    fields: dict[str, Any] = {
        "record_id": f"toy/{number:06d}",
        "caption": f"a dog and a cat{number}",
        "image_bytes": picture_bytes(number),
        "image_uri": f"images/{number}.png",
        "source": "toy",
    }
    return CorpusRecord(**(fields | changes))
