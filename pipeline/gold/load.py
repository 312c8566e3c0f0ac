"""One door to every gold format: `load_gold(path)` looks at the file and calls its importer."""

from __future__ import annotations

from pathlib import Path

from pipeline.gold.checks import read_json, read_json_lines
from pipeline.gold.formats.coco import load_coco, load_lvis
from pipeline.gold.formats.cvat import load_cvat
from pipeline.gold.formats.flickr30k import load_flickr30k
from pipeline.gold.formats.glip_tsv import load_glip_tsv
from pipeline.gold.formats.imagefolder import METADATA_NAMES, load_imagefolder
from pipeline.gold.formats.label_studio import is_label_studio, load_label_studio
from pipeline.gold.formats.mdetr import load_mdetr
from pipeline.gold.formats.odvg import load_odvg
from pipeline.gold.formats.open_images import load_open_images
from pipeline.gold.formats.refcoco import load_refcoco
from pipeline.gold.formats.tables import load_table, table_kind
from pipeline.gold.formats.voc import load_voc
from pipeline.gold.formats.yolo import load_yolo
from pipeline.gold.gold_set import GoldCounts, GoldSet
from pipeline.gold.json_stream import NotAnObject, stream_object
from pipeline.gold.opened import READ_ERRORS, bare_suffix, opened
from pipeline.storage.files import is_local
from schemas.errors import ConfigError, DataError, reason_of
from schemas.gold_format import GOLD_FORMATS

_LOOK_AT = 1_000
"""Images and annotations that are looked at to tell a format."""


def load_gold(
    path: str,
    gold_format: str = "auto",
    *,
    image_root: str = "",
    split: str = "",
    label_map: str = "",
    counts: GoldCounts | None = None,
    masks: bool = False,
    labelled: bool = True,
    sizes: bool = True,
) -> GoldSet:
    """Gold boxes of a file or directory, in memory.

    `image_root` is where file names start (empty: beside the file); `split` is a list of image
    ids for flickr30k; `label_map` names the categories of ODVG detection files and of image folders
    with numbers; `counts` takes what was left out, and may report every problem with its place;
    `masks` asks for those of COCO's, LVIS's and MDETR's files; with `labelled` a file without
    annotations is refused, because its images are not known to be empty; without `sizes` COCO's
    and LVIS's images whose size is not said need not be there.

    Raises:
        ConfigError: a path does not exist, the format is unknown or cannot be told.
        DataError: the content breaks its format.
    """
    if gold_format not in GOLD_FORMATS:
        raise ConfigError(
            f"gold format must be one of {', '.join(GOLD_FORMATS)}, got {gold_format!r}"
        )
    require_there(path, "gold")
    if label_map and not Path(label_map).is_file():
        raise ConfigError(f"label_map {label_map!r} does not exist, or is not a file")
    found = guess_format(path) if gold_format == "auto" else gold_format
    if found in _FILES_ALONE and Path(path).is_dir():
        raise ConfigError(f"gold {path!r} is a folder, and gold of format {found} is a file in one")
    gold = _load(
        path,
        found,
        image_root=image_root,
        split=split,
        label_map=label_map,
        counts=counts,
        masks=masks,
        sizes=sizes,
    )
    if labelled and not gold.is_labelled:
        raise DataError(
            f"gold {path!r} has no annotations: it lists the images of a test set, whose boxes are "
            "not published. Give the file with the boxes"
        )
    return gold


def require_there(path: str, what: str) -> None:
    """Pass where a file or folder of this machine is; `what` names the option in errors.

    Raises:
        ConfigError: nothing is there, or it is in a store.
    """
    if not is_local(path):
        raise ConfigError(
            f"{what} {path!r} is an address; boxes are read from files of this machine: copy it "
            "here, and give the copy"
        )
    if not Path(path).exists():
        raise ConfigError(f"{what} {path!r} does not exist")


_FILES_ALONE = frozenset(
    {"coco", "lvis", "objects365", "mdetr", "odvg", "openimages", "label-studio", "cvat"}
    | {"glip-tsv"}
)
"""Formats of which one file is all."""


def _load(
    path: str,
    found: str,
    *,
    image_root: str,
    split: str,
    label_map: str,
    counts: GoldCounts | None,
    masks: bool,
    sizes: bool,
) -> GoldSet:
    beside = image_root or str(Path(path).parent)
    match found:
        case "imagefolder":
            return load_imagefolder(path, image_root=image_root, label_map=label_map, counts=counts)
        case "flickr30k":
            return load_flickr30k(path, image_root=image_root, split=split, counts=counts)
        case "odvg":
            return load_odvg(path, image_root=beside, label_map=label_map, counts=counts)
        case "mdetr":
            return load_mdetr(path, image_root=beside, counts=counts, masks=masks)
        case "lvis":
            return load_lvis(path, image_root=beside, counts=counts, masks=masks, sizes=sizes)
        case "openimages":
            return load_open_images(path, image_root=beside, label_map=label_map, counts=counts)
        case "refcoco":
            return load_refcoco(path, image_root=image_root, split=split, counts=counts)
        case "voc":
            return load_voc(path, image_root=image_root, split=split, counts=counts)
        case "yolo":
            return load_yolo(path, image_root=image_root, split=split, counts=counts)
        case "label-studio":
            return load_label_studio(path, image_root=beside, counts=counts)
        case "cvat":
            return load_cvat(path, image_root=beside, counts=counts)
        case "glip-tsv":
            return load_glip_tsv(path, image_root=beside, counts=counts)
        case "grit" | "boxes" | "hf":
            return load_table(path, found, image_root=beside, counts=counts)
    return load_coco(path, image_root=beside, counts=counts, masks=masks, sizes=sizes)


def guess_format(path: str, *, grounding: bool = False) -> str:
    """The format of a gold file or directory, from what is in it.

    Our own COCO export holds both: with `grounding` its captions and spans count, else its boxes.

    Raises:
        ConfigError: nothing tells.
    """
    file = Path(path)
    found = _guess_folder(file) if file.is_dir() else _guess_file(file, grounding)
    if found:
        return found
    raise ConfigError(
        f"cannot tell the gold format of {path!r}; name one of {', '.join(GOLD_FORMATS[1:])}"
    )


def _guess_folder(folder: Path) -> str:
    for format_name, marks in _FOLDER_MARKS.items():
        if any(next(folder.glob(mark), None) is not None for mark in marks):
            return format_name
    table = next(iter(sorted(folder.rglob("*.parquet"))), None)
    return table_kind(str(table)) if table is not None else ""


_FOLDER_MARKS = {
    "flickr30k": ("Sentences/",),
    "imagefolder": (*METADATA_NAMES, *(f"*/{name}" for name in METADATA_NAMES)),
    "yolo": ("data.yaml",),
    "refcoco": ("refs(*).p", "refs(*).json"),
    "voc": ("Annotations/*.xml", "*.xml"),
}


def _guess_file(file: Path, grounding: bool) -> str:
    path = str(file)
    match bare_suffix(file):
        case ".jsonl":
            return _guess_lines(path)
        case ".json":
            try:
                return _guess_object(path, grounding)
            except NotAnObject:
                return "label-studio" if is_label_studio(read_json(path)) else ""
        case ".yaml" | ".yml":
            return "yolo"
        case ".p":
            return "refcoco"
        case ".tsv":
            return "glip-tsv"
        case ".parquet":
            return table_kind(path)
        case ".xml":
            return "cvat" if b"<annotations" in _head(path) else ""
        case ".csv":
            head = _head(path)
            return (
                "openimages" if b"XMin" in head else "imagefolder" if b"file_name" in head else ""
            )
    return ""


def _head(path: str) -> bytes:
    """How a file begins, in whatever encoding; its ASCII letters alone are looked at."""
    try:
        with opened(path) as stream:
            return stream.read(2_000).replace(b"\0", b"")
    except READ_ERRORS as error:
        raise DataError(f"gold file {path!r} cannot be read: {reason_of(error)}") from error


def _guess_lines(path: str) -> str:
    for where, row in read_json_lines(path):
        if isinstance(row, dict) and ("grounding" in row or "detection" in row):
            return "odvg"
        if isinstance(row, dict) and "file_name" in row:
            return "imagefolder"
        raise DataError(f"{where}: neither an ODVG row nor an image folder's, got {row!r:.100}")
    raise ConfigError(f"gold {path!r} is empty")


def _guess_object(path: str, grounding: bool) -> str:
    """What a COCO-shaped file is: spans of captions make it grounding, whatever else it holds."""
    keys: set[str] = set()
    marks: set[str] = set()
    num_annotations = 0
    for key, number, value in stream_object(path):
        if number is None and isinstance(value, list):
            keys.add(key)
        if number is None or number >= _LOOK_AT or not isinstance(value, dict):
            continue
        num_annotations += key == "annotations"
        if key == "images":
            marks |= value.keys() & {"caption", "tokens_negative", "dataset_name"}
            marks |= {"lvis"} if "neg_category_ids" in value else set()
        elif key == "annotations" and "category_id" in value:
            keys.add("categories")  # COCO's own files list them behind all annotations
        if key == "annotations" and "tokens_positive" in value:
            # Our plain COCO export carries captions and spans too, but says `phrase`.
            marks.add("ours" if "phrase" in value else "spans")
        if number + 1 == _LOOK_AT and key == "annotations" and "images" in keys:
            break
    if "images" not in keys:
        return ""
    if "lvis" in marks:
        return "lvis"
    grounds = marks & {"tokens_negative", "dataset_name", "spans"} or not num_annotations
    if grounding and marks >= {"caption", "ours"}:
        return "mdetr"
    if "caption" in marks and "ours" not in marks and grounds:
        return "mdetr"
    return "coco" if "categories" in keys or "annotations" not in keys else ""
