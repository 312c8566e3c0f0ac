"""The formats of gold boxes, by name: for options and for the reader."""

from __future__ import annotations

from typing import Literal, get_args

GoldFormat = Literal[
    "auto",
    "coco",
    "lvis",
    "mdetr",
    "odvg",
    "flickr30k",
    "imagefolder",
    "objects365",
    "openimages",
    "refcoco",
    "voc",
    "yolo",
    "label-studio",
    "cvat",
    "glip-tsv",
    "grit",
    "boxes",
    "hf",
]
"""A format of gold boxes; auto: what the file looks like."""
GOLD_FORMATS: tuple[str, ...] = get_args(GoldFormat)
