"""Whatever stands at any place of a file: it is read, counted or explained, and nothing else."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipeline.gold import load_gold
from pipeline.validate.check import validate
from schemas.errors import ConfigError, DataError

IMAGE = {"id": 1, "file_name": "a.png", "width": 100, "height": 80}
BOX = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 10, 20, 20], "iscrowd": 0}
COCO = {
    "licenses": [{"id": 1, "name": "x"}],
    "images": [IMAGE | {"license": 1}],
    "annotations": [BOX | {"area": 4.5, "segmentation": [[1, 1, 5, 1, 5, 5]]}],
    "categories": [{"id": 1, "name": "cat"}],
}
LISTS = {"neg_category_ids": [1], "not_exhaustive_category_ids": [1]}
SHAPE = {"x": 1, "y": 1, "width": 9, "height": 9, "rotation": 3, "rectanglelabels": ["cat"]}
POINTS = {"points": [[1, 1], [2, 2], [3, 1]], "polygonlabels": ["dog"]}
PIXELS = {"original_width": 100, "original_height": 80}
CONTENTS: dict[str, tuple[str, Any]] = {
    "coco": ("v.json", COCO),
    "lvis": ("v.json", COCO | {"images": [IMAGE | LISTS]}),
    "mdetr": (
        "v.json",
        {
            "images": [IMAGE | {"caption": "a cat", "tokens_negative": [[0, 1]]}],
            "annotations": [BOX | {"tokens_positive": [[2, 5]]}],
        },
    ),
    "odvg": (
        "v.jsonl",
        {
            "filename": "a.png",
            "height": 80,
            "width": 100,
            "grounding": {
                "caption": "a cat",
                "regions": [
                    {"phrase": ["a", "cat"], "bbox": [[1, 2, 3, 4]]},
                    {"phrase": "cat", "bbox": [1, 2, 3, 4], "tokens_positive": [[2, 5]]},
                ],
            },
        },
    ),
    "odvg detection": (
        "v.jsonl",
        {
            "filename": "a.png",
            "height": 80,
            "width": 100,
            "detection": {"instances": [{"bbox": [1, 2, 3, 4], "label": 0, "category": "cat"}]},
        },
    ),
    "imagefolder": (
        "metadata.jsonl",
        {
            "file_name": "a.png",
            "objects": {"bbox": [[1, 2, 3, 4]], "categories": ["cat"], "iscrowd": [0]},
        },
    ),
    "imagefolder list": (
        "metadata.jsonl",
        {
            "file_name": "a.png",
            "width": 9,
            "height": 9,
            "boxes": [{"bbox": [1] * 4, "category": "c"}],
        },
    ),
    "label-studio": (
        "v.json",
        [
            {
                "id": 1,
                "data": {"image": "a.png"},
                "annotations": [
                    {"result": [PIXELS | {"value": SHAPE}, PIXELS | {"id": "r", "value": POINTS}]}
                ],
            }
        ],
    ),
    "label-studio min": (
        "v.json",
        [{"id": 1, "image": "a.png", "annotation_id": 2, "label": [PIXELS | SHAPE]}],
    ),
    "glip-tsv": (
        "v.tsv",
        {
            "img_h": 80,
            "img_w": 100,
            "caption": "a cat",
            "bboxes": [[1, 2, 3, 4]],
            "scores": [1],
            "tokens_positive": [[[2, 5]]],
        },
    ),
    "refcoco": (
        "refs(x).json",
        [
            {
                "ann_id": 1,
                "image_id": 1,
                "split": "v",
                "sentences": [{"sent_id": 1, "sent": "a cat"}],
            }
        ],
    ),
}
ODD: tuple[Any, ...] = (None, True, 10**400, float("nan"), "\ud800\0", [[]], [])


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    inner: Any = ()
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = enumerate(value)
    for key, child in inner:
        yield from places(child, (*path, key))


def changed(value: Any, path: tuple[Any, ...], odd: Any) -> Any:
    copied = copy.deepcopy(value)
    parent = copied
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = odd
    return copied


@pytest.mark.parametrize("name", CONTENTS)
def test_anything_may_stand_anywhere(tmp_path: Path, name: str) -> None:
    file_name, content = CONTENTS[name]
    gold_format = name.partition(" ")[0]
    Image.new("RGB", (100, 80)).save(tmp_path / "a.png")
    (tmp_path / "instances.json").write_text(json.dumps(COCO))
    path = tmp_path / file_name
    key = "k\t" if gold_format == "glip-tsv" else ""
    path.write_text(key + json.dumps(content))
    assert load_gold(str(path), gold_format).samples
    for place in places(content):
        for odd in ODD:
            path.write_text(key + json.dumps(changed(content, place, odd)))
            try:
                load_gold(str(path), gold_format, masks=True)
            except (ConfigError, DataError):
                assert validate(str(path), gold_format, images=False).problems, (place, odd)
