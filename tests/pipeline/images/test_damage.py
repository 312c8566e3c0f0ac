"""Damage inside of files that begin and end well."""

from __future__ import annotations

import io
import random
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.images.damage import damage_in


def encoded(kind: str, **options: Any) -> bytes:
    shade = np.add.outer(np.arange(120) % 97, np.arange(160) % 131)[..., None]
    noise = np.random.default_rng(0).integers(0, 60, (120, 160, 3))
    out = io.BytesIO()
    Image.fromarray((shade + noise).astype(np.uint8)).save(out, kind, **options)
    return out.getvalue()


GOOD: list[tuple[str, dict[str, Any]]] = [
    ("JPEG", {}),
    ("JPEG", {"progressive": True, "quality": 95}),
    ("JPEG", {"optimize": True, "restart_marker_blocks": 2, "comment": b"\xff\xd9\xff\xc0"}),
    ("JPEG", {"icc_profile": b"\xff\xc1" * 40_000, "exif": b"Exif\0\0\xff\xd9"}),
    ("MPO", {"save_all": True, "append_images": [Image.new("RGB", (9, 9))]}),
    ("PNG", {}),
    ("WEBP", {}),
]


@pytest.mark.parametrize("kind, options", GOOD)
def test_good_files_show_none(kind: str, options: dict[str, Any]) -> None:
    data = encoded(kind, **options)
    for more in (b"", b"\xff\xc0 of a maker", b"\0" * 99):
        assert damage_in(data + more) == ""
    for length in (0, 3, 20, 200, len(data) // 2, len(data) - 2):
        assert damage_in(data[:length]) == ""  # cut off: decoding tells


def test_every_changed_bit_of_a_png_is_found() -> None:
    data = bytearray(encoded("PNG"))
    rng = random.Random(0)
    # Behind the length of the part of the pixels: a length that is too large is a file that ends.
    for place in rng.sample(range(data.index(b"IDAT"), len(data) - 12), 200):
        data[place] ^= (bit := 1 << rng.randrange(8))
        assert "checksum" in damage_in(bytes(data))
        data[place] ^= bit
    assert damage_in(bytes(data)) == ""


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_foreign_blocks_in_a_jpeg_are_found(options: dict[str, Any]) -> None:
    good = encoded("JPEG", quality=95, **options)
    begin = good.index(b"\xff\xda") + 20
    rng, found = random.Random(0), 0
    for _ in range(100):
        place = rng.randrange(begin, len(good) - 1_004)
        found += bool(damage_in(good[:place] + rng.randbytes(1_000) + good[place + 1_000 :]))
    assert found > 85
