"""A tiny world of coloured squares, as grounding and as detection gold, for training tests."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

COLORS = {"red": (220, 30, 30), "green": (30, 180, 50), "blue": (40, 60, 220)}
SIDE = 64


def write_shapes(directory: Path, count: int) -> tuple[Path, Path]:
    """(MDETR grounding file, COCO file) of `count` images, deterministic."""
    directory.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    images, grounded, boxed = [], [], []
    for number in range(count):
        pixels = np.full((SIDE, SIDE, 3), rng.integers(90, 160), dtype=np.uint8)
        first, second = rng.permutation(list(COLORS))[:2]
        caption = f"a {first} box and a {second} box"
        for place, color in enumerate((first, second)):
            x, y = int(rng.integers(2, 12)) + 32 * place, int(rng.integers(2, 40))
            pixels[y : y + 20, x : x + 18] = COLORS[color]
            entry = {"image_id": number, "bbox": [x, y, 18, 20], "area": 360, "iscrowd": 0}
            start = caption.index(f"a {color}")
            span = [[start, start + len(f"a {color} box")]]
            grounded.append(
                entry | {"id": len(grounded), "category_id": 1, "tokens_positive": span}
            )
            category = list(COLORS).index(color) + 1
            boxed.append(entry | {"id": len(boxed), "category_id": category})
        Image.fromarray(pixels).save(directory / f"{number}.png")
        size = {"id": number, "file_name": f"{number}.png", "width": SIDE, "height": SIDE}
        images.append(size | {"caption": caption})
    grounding, detection = directory / "grounding.json", directory / "coco.json"
    grounding.write_text(json.dumps({"images": images, "annotations": grounded, "categories": []}))
    plain = [{k: v for k, v in image.items() if k != "caption"} for image in images]
    names = [{"id": i + 1, "name": f"{color} box"} for i, color in enumerate(COLORS)]
    detection.write_text(json.dumps({"images": plain, "annotations": boxed, "categories": names}))
    return grounding, detection
