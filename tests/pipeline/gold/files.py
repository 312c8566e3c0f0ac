"""Small gold files, written as each format has them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

KITE = "two kids fly a red kite"


def write_json(path: Path, value: Any) -> str:
    path.write_text(json.dumps(value))
    return str(path)


def write_lines(path: Path, *rows: Any) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def coco_file(**changes: Any) -> dict[str, Any]:
    image = {"id": 7, "file_name": "a.jpg", "width": 64, "height": 48}
    categories = [{"id": 9, "name": "kite"}, {"id": 3, "name": "traffic_light"}]
    annotations = [
        {"id": 1, "image_id": 7, "category_id": 9, "bbox": [1, 2, 3, 4]},
        {"id": 2, "image_id": 7, "category_id": 3, "bbox": [0, 0, 64, 48], "iscrowd": 1},
        {"id": 3, "image_id": 7, "category_id": 3, "bbox": [70, 0, 5, 5]},
    ]
    return {
        "images": [image, image | {"id": 8, "file_name": "b.jpg"}],
        "categories": categories,
        "annotations": annotations,
    } | changes


def mdetr_file(**image: Any) -> dict[str, Any]:
    entry = {"id": 7, "file_name": "a.jpg", "width": 64, "height": 48, "caption": KITE}
    return {
        "images": [entry | {"tokens_negative": [[0, 23]]} | image],
        "annotations": [
            {"image_id": 7, "bbox": [1, 2, 3, 4], "tokens_positive": [[0, 8]]},
            {"image_id": 7, "bbox": [1, 2, 3, 4], "tokens_positive": [[13, 14], [15, 23]]},
            {"image_id": 7, "bbox": [1, 2, 3, 4], "tokens_positive": []},
            {"image_id": 7, "bbox": [1, 2, 3, 4], "tokens_positive": [[0, 99]]},
            {"image_id": 7, "bbox": [0, 0, 0, 4], "tokens_positive": [[0, 8]]},
        ],
        "categories": [{"id": 1, "name": "object"}],
    }


def odvg_row(*regions: Any, **changes: Any) -> dict[str, Any]:
    row = {"filename": "a.jpg", "width": 64, "height": 48}
    return row | {"grounding": {"caption": KITE, "regions": list(regions)}} | changes
