"""Make a small copy of a forward fixture: a few numbers of each tensor, the default detections.

Usage: python -m tests.parity.compact FIXTURE.npz OUT.npz
"""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.parity.fixture import PACKED, Fixture

WHOLE = ("meta", "input_ids", "attention_mask", "head/level_sizes", "det/0/mean/")
DROPPED = ("backbone/C2", "dbg/swin", "dbg/tower", "det/", "head/dot_product_logits_all")
DROPPED_PARTS = ("/lang_all", "hidden_all", "positive_map")
NUM_SAMPLES = 32


def compact(fixture: Fixture) -> dict[str, NDArray]:
    """Arrays of the small copy; the largest number of each tensor is among its samples."""
    kept: dict[str, NDArray] = {}
    table: list[tuple[str, tuple[int, ...], float, int]] = []
    places: list[NDArray] = []
    numbers: list[NDArray] = []
    rng = np.random.default_rng(0)
    for name in dict.fromkeys(_tensor_name(name) for name in fixture.arrays):
        if name.startswith("image/"):
            picture = io.BytesIO()
            Image.fromarray(fixture.arrays[name]).save(picture, "png", optimize=True)
            png = np.frombuffer(picture.getvalue(), np.uint8)
            kept[name.replace("image/", "png/")] = png
            continue
        if name.startswith(WHOLE):
            kept[name] = fixture.arrays[name]
            continue
        if name.startswith(DROPPED) or any(part in name for part in DROPPED_PARTS):
            continue
        if name in fixture.arrays:
            values = fixture.arrays[name].reshape(-1)
            index = np.arange(values.size)
            norm = float(np.sqrt((values.astype(np.float64) ** 2).sum()))
        else:
            values, index = fixture.arrays[f"{name}/val"], fixture.arrays[f"{name}/idx"]
            norm = float(fixture.arrays[f"{name}/stat"][4])
        chosen = rng.choice(values.size, min(NUM_SAMPLES, values.size), replace=False)
        chosen[0] = np.abs(values).argmax()
        table.append((name, fixture.shape(name), norm, len(chosen)))
        places.append(index[chosen])
        numbers.append(values[chosen])
    kept[PACKED] = np.frombuffer(json.dumps(table).encode(), np.uint8)
    kept["packed/idx"] = np.concatenate(places).astype(np.int32)
    kept["packed/val"] = np.concatenate(numbers).astype(np.float32)
    return kept


def _tensor_name(name: str) -> str:
    stem, _, part = name.rpartition("/")
    return stem if part in ("shape", "idx", "val", "stat") else name


if __name__ == "__main__":
    arrays = compact(Fixture.read(Path(sys.argv[1])))
    np.savez_compressed(Path(sys.argv[2]), **arrays)  # type: ignore[arg-type]
