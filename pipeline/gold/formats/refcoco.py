"""RefCOCO, RefCOCO+ and RefCOCOg as published: a pickle of expressions beside COCO's instances."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

from pipeline.gold.checks import entry_id, image_size, join_uri, read_json, require, usable_xywh
from pipeline.gold.gold_set import GoldCounts, GoldKind, GoldSet, finish_counts
from pipeline.gold.json_stream import stream_object
from schemas.errors import DataError, reason_of
from schemas.records import TrainingSample

NO_INSTANCE = "expression about an instance or an image that is not in instances.json"
BLANK = "expression without words"
_OF_IMAGE = ("file_name", "width", "height")


def load_refcoco(
    path: str, *, image_root: str = "", split: str = "", counts: GoldCounts | None = None
) -> GoldSet:
    """One sample per expression; its box is named by the whole expression.

    Args:
        path: The folder, or the file `refs(unc).p`; `instances.json` is beside it.
        split: `train`, `val`, `testA`, ...; empty: all.

    Raises:
        DataError: a file is missing or breaks the format.
    """
    file, counts = Path(path), GoldCounts() if counts is None else counts
    if file.is_dir():
        found = sorted([*file.glob("refs(*).p"), *file.glob("refs(*).json")])
        if len(found) != 1:
            names = ", ".join(one.name for one in found) or "none"
            raise DataError(f"{file} must have one refs(...).p, has {names}: name the file itself")
        file = found[0]
    refs = _refs(file)
    root = image_root or str(file.parent)
    images, boxes = _instances(str(file.parent / "instances.json"), counts)
    name = file.parent.name
    splits = {str(ref.get("split")) for ref in refs if isinstance(ref, dict)}
    if split and refs and split not in splits:
        raise DataError(f"{file} has no split {split!r}; it has {', '.join(sorted(splits))}")
    samples: list[TrainingSample] = []
    for number, ref in enumerate(refs):
        where = f"{file}: refs[{number}]"
        with counts.entry():
            if not split or require(ref, "split", str, where) == split:
                samples += _samples(ref, where, name, root, images, boxes, counts)
    return GoldSet(
        name=name,
        format="refcoco",
        kind=GoldKind.GROUNDING,
        samples=tuple(samples),
        counts=finish_counts(counts, tuple(samples)),
    )


def _samples(
    ref: Any,
    where: str,
    name: str,
    root: str,
    images: dict[Any, Any],
    boxes: dict[Any, Any],
    counts: GoldCounts,
) -> list[TrainingSample]:
    image = images.get(entry_id(ref, "image_id", where))
    bbox = boxes.get(entry_id(ref, "ann_id", where))
    if image is None or bbox is None:
        counts.drop(NO_INSTANCE, where=where)
        return []
    size_wh = image_size(image, f"{where}: its image")
    xyxy = usable_xywh(bbox, size_wh, counts, where)
    found = []
    for place, sentence in enumerate(require(ref, "sentences", list, where)):
        at = f"{where}: sentences[{place}]"
        text = require(sentence, "sent", str, at)
        if not text.strip():
            counts.drop(BLANK, where=at)
            continue
        if xyxy is None:
            continue
        found.append(
            TrainingSample(
                sample_id=f"{name}/{entry_id(sentence, 'sent_id', at)}",
                image_uri=join_uri(root, require(image, "file_name", str, f"{where}: its image")),
                width=size_wh[0],
                height=size_wh[1],
                caption=text,
                boxes=(xyxy,),
                spans=(((0, len(text)),),),
                weights=(1.0,),
                source=name,
            )
        )
    return found


def _instances(path: str, counts: GoldCounts) -> tuple[dict[Any, Any], dict[Any, Any]]:
    images: dict[Any, Any] = {}
    boxes: dict[Any, Any] = {}
    for key, number, value in stream_object(path):
        if number is None:
            continue
        if key == "images":
            with counts.entry():
                image_id = entry_id(value, "id", f"{path}: images[{number}]")
                images[image_id] = {key: value.get(key) for key in _OF_IMAGE}
        elif key == "annotations":
            with counts.entry():
                box_id = entry_id(value, "id", f"{path}: annotations[{number}]")
                boxes[box_id] = value.get("bbox")
    return images, boxes


class _Plain(pickle._Unpickler):
    """Lists, dictionaries, numbers and text; a pickle that asks for code is refused.

    The unpickler in Python: a number in a file of some bytes makes the one in C take gigabytes.
    """

    def find_class(self, module: str, name: str) -> Any:
        raise DataError(f"the pickle asks for {module}.{name}: it is not a list of expressions")


def _refs(file: Path) -> list[Any]:
    if file.suffix == ".json":
        raw = read_json(str(file))
    else:
        try:
            raw = _Plain(io.BytesIO(file.read_bytes()), encoding="latin1").load()
        except DataError:
            raise
        except OSError as error:
            raise DataError(
                f"gold file {str(file)!r} cannot be read: {reason_of(error)}"
            ) from error
        except Exception as error:  # a broken pickle raises nearly anything
            raise DataError(f"gold file {str(file)!r} is not a pickle: {error}") from error
    if not isinstance(raw, list):
        raise DataError(f"gold file {str(file)!r} must hold a list of expressions")
    return raw
