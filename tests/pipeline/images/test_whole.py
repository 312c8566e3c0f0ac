"""A file that was cut off is found, and one that was not is not decoded for it."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from pipeline.images import whole
from pipeline.images.decode import ImageLimits
from pipeline.images.whole import ends_well, require_whole
from schemas.errors import RecordError
from schemas.records import Status

LIMITS = ImageLimits()


def encoded(kind: str) -> bytes:
    noise = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).save(out, kind)
    return out.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_a_file_that_was_cut_off(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(kind)
    for length in (len(data) // 2, len(data) - 300):
        assert not ends_well(data[:length])
        with pytest.raises(RecordError) as error:
            require_whole(data[:length], LIMITS)
        assert error.value.status == Status.IMAGE_CORRUPT
    require_whole(data + b"\0" * 5000, LIMITS)  # much behind the end: decoded, and good
    if kind in ("JPEG", "PNG", "WEBP"):
        monkeypatch.setattr(whole, "decode_image", None)
        require_whole(data, LIMITS)
        require_whole(data + b"\n", LIMITS)
