"""The reference's answers to small questions, kept in `tests/golden/units/`.

Made again, from a folder with `text.json`, `resize.json` and `units.npz` of the parity fixtures:
`python -m tests.model.unit_tables FOLDER`
"""

from __future__ import annotations

import json
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

GOLDEN = Path(__file__).parent.parent / "golden" / "units"


@lru_cache(maxsize=1)
def text_table() -> dict[str, Any]:
    """Prompts, token ids without padding, and label maps."""
    return json.loads((GOLDEN / "text.json").read_text(encoding="utf-8"))


@lru_cache(maxsize=1)
def resize_table() -> list[list[int]]:
    """Rows of w, h, min_size, max_size, out_w, out_h."""
    return json.loads((GOLDEN / "resize.json").read_text())["rows"]


@lru_cache(maxsize=1)
def unit_arrays() -> dict[str, NDArray]:
    """Arrays by name: coder, iou, nms, scores, focal, giou, atss, anchors, schedule."""
    with np.load(GOLDEN / "units.npz") as file:
        return {name: file[name] for name in file.files}


def _regenerate(folder: Path) -> None:
    GOLDEN.mkdir(parents=True, exist_ok=True)
    text = json.loads((folder / "text.json").read_text(encoding="utf-8"))
    for row in text["detection"]:
        row["input_ids"] = row["input_ids"][: row["n_valid"]]
    (GOLDEN / "text.json").write_text(json.dumps(text, ensure_ascii=False), encoding="utf-8")
    (GOLDEN / "resize.json").write_text((folder / "resize.json").read_text())
    with np.load(folder / "units.npz") as file:
        arrays = {name: file[name] for name in file.files}
    # Of the scores one image is enough; of the focal loss only the entries that count.
    for name in [name for name in arrays if name.startswith("scores/") and name != "scores/map"]:
        arrays[name] = arrays[name][0]
    valid = np.broadcast_to(arrays.pop("focal/mask")[:, None] > 0, arrays["focal/logits"].shape)
    for name in ("focal/logits", "focal/targets"):
        arrays[name] = arrays[name][valid]
    np.savez_compressed(GOLDEN / "units.npz", **arrays)  # type: ignore[arg-type]


if __name__ == "__main__":
    _regenerate(Path(sys.argv[1]))
