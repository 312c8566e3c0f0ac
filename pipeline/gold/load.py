"""One door to every gold format: `load_gold(path)` looks at the file and calls its importer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.gold.checks import read_json
from pipeline.gold.coco import load_coco, load_lvis
from pipeline.gold.flickr30k import load_flickr30k
from pipeline.gold.gold_set import GoldSet
from pipeline.gold.imagefolder import load_imagefolder, read_json_lines
from pipeline.gold.mdetr import load_mdetr
from pipeline.gold.odvg import load_odvg
from schemas.errors import ConfigError, DataError

GOLD_FORMATS = ("auto", "coco", "lvis", "mdetr", "odvg", "flickr30k", "imagefolder")


def load_gold(
    path: str,
    gold_format: str = "auto",
    *,
    image_root: str = "",
    split: str = "",
    label_map: str = "",
) -> GoldSet:
    """Gold boxes of a file or directory, in memory.

    `image_root` is where file names start (empty: beside the file); `split` is a list of image
    ids for flickr30k; `label_map` names the categories of an ODVG detection file.

    Raises:
        ConfigError: the path does not exist, the format is unknown or cannot be told.
        DataError: the content breaks its format.
    """
    if gold_format not in GOLD_FORMATS:
        raise ConfigError(
            f"gold format must be one of {', '.join(GOLD_FORMATS)}, got {gold_format!r}"
        )
    if not Path(path).exists():
        raise ConfigError(f"gold {path!r} does not exist")
    found = guess_format(path) if gold_format == "auto" else gold_format
    beside = image_root or str(Path(path).parent)
    if found == "imagefolder":
        return load_imagefolder(path, image_root=image_root)
    if found == "flickr30k":
        return load_flickr30k(path, image_root=image_root, split=split)
    if found == "odvg":
        return load_odvg(path, image_root=beside, label_map=label_map)
    if found == "mdetr":
        return load_mdetr(path, image_root=beside)
    return (load_lvis if found == "lvis" else load_coco)(path, image_root=beside)


def guess_format(path: str) -> str:
    """The format of a gold file or directory, from what is in it.

    Raises:
        ConfigError: nothing tells.
    """
    file = Path(path)
    if file.is_dir():
        if (file / "Sentences").is_dir():
            return "flickr30k"
        if (file / "metadata.jsonl").is_file():
            return "imagefolder"
    elif file.suffix == ".jsonl":
        return _guess_lines(path)
    elif file.suffix == ".json":
        found = _guess_object(read_json(path))
        if found:
            return found
    raise ConfigError(
        f"cannot tell the gold format of {path!r}; name one of {', '.join(GOLD_FORMATS[1:])}"
    )


def _guess_lines(path: str) -> str:
    for where, row in read_json_lines(path):
        if isinstance(row, dict) and ("grounding" in row or "detection" in row):
            return "odvg"
        if isinstance(row, dict) and "file_name" in row:
            return "imagefolder"
        raise DataError(f"{where}: neither an ODVG row nor an image folder's, got {row!r:.100}")
    raise ConfigError(f"gold {path!r} is empty")


def _guess_object(raw: Any) -> str:
    if not isinstance(raw, dict) or not isinstance(raw.get("images"), list):
        return ""
    images, annotations = raw["images"], raw.get("annotations") or []
    image, annotation = (entries[0] if entries else {} for entries in (images, annotations))
    if "caption" in image and len(raw.get("categories") or ()) <= 1:
        # Our plain COCO export carries captions and spans too, but says `phrase`.
        if "tokens_negative" in image or "dataset_name" in image or not annotations:
            return "mdetr"
        if "tokens_positive" in annotation and "phrase" not in annotation:
            return "mdetr"
    if "neg_category_ids" in image:
        return "lvis"
    return "coco" if isinstance(raw.get("categories"), list) else ""
