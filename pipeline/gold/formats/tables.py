"""Parquet: GRIT's rows, our table of boxes, and Hugging Face's rows with images in them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.gold.checks import (
    CROWD,
    NO_SPAN,
    image_size,
    join_uri,
    require,
    usable_spans,
    usable_xywh,
    usable_xyxy,
    whole_text,
)
from pipeline.gold.class_names import find_class_label, numbered_names
from pipeline.gold.detection_samples import DetectionImage, named_detection_set
from pipeline.gold.formats.objects import listed_objects, object_name
from pipeline.gold.gold_set import (
    GoldCounts,
    GoldKind,
    GoldSet,
    IgnoredBox,
    finish_counts,
    grounding_sample,
)
from pipeline.gold.picture_sizes import NO_SIZE, picture_size, size_in
from pipeline.storage.inflation import parquet_batches
from pipeline.storage.local_place import refuse_special
from pipeline.storage.parquet_cell import image_in_cell
from schemas.errors import DataError, reason_of
from schemas.records import Span, TrainingSample, Xyxy

_IMAGES_AT_ONCE = 32
_Boxes = list[tuple[Xyxy, tuple[Span, ...]]]


def table_kind(path: str) -> str:
    """`grit`, `boxes`, `hf` or `imagefolder` by the columns of a Parquet file; empty: none.

    Raises:
        DataError: it is not a Parquet file.
    """
    names = set(_open(path).schema_arrow.names)
    if {"noun_chunks", "caption"} <= names:
        return "grit"
    if {"phrase", "start", "end", "x0", "box_id"} <= names:
        return "boxes"
    if {"file_name", "objects"} <= names:
        return "imagefolder"
    return "hf" if {"image", "objects"} <= names else ""


def load_table(
    path: str, kind: str, *, image_root: str, counts: GoldCounts | None = None
) -> GoldSet:
    """The rows of a Parquet file, or of all below a folder.

    Raises:
        DataError: a file breaks the format.
    """
    counts = GoldCounts() if counts is None else counts
    files = [path] if Path(path).is_file() else sorted(map(str, Path(path).rglob("*.parquet")))
    if not files:
        raise DataError(f"{path} has no Parquet file")
    name = Path(path).stem
    if kind == "hf":
        return _load_hf(files, name, counts)
    read = {"grit": _grit, "boxes": _box_rows}[kind]
    samples: list[TrainingSample] = []
    seen: set[str] = set()
    for sample in read(files, name, image_root, counts):
        with counts.entry():
            if sample.sample_id in seen:
                raise DataError(f"{path}: the id {sample.sample_id!r} occurs twice")
            seen.add(sample.sample_id)
            samples.append(sample)
    return _grounding_set(name, kind, samples, counts)


def _grounding_set(
    name: str, kind: str, samples: list[TrainingSample], counts: GoldCounts
) -> GoldSet:
    return GoldSet(
        name=name,
        format=kind,
        kind=GoldKind.GROUNDING,
        samples=tuple(samples),
        counts=finish_counts(counts, tuple(samples)),
    )


def _grit(files: list[str], name: str, root: str, counts: GoldCounts) -> Iterator[TrainingSample]:
    """Boxes are shares of the image; offsets are floats. A box of several phrases is one box."""
    for where, row in parquet_rows(files):
        with counts.entry():
            size_wh = image_size(row, where)
            caption = require(row, "caption", str, where)
            spans_of: dict[Xyxy, list[Span]] = {}
            for chunk in [*(row.get("noun_chunks") or ()), *(row.get("ref_exps") or ())]:
                if not isinstance(chunk, list) or len(chunk) < 6:
                    raise DataError(f"{where}: a chunk must have 6 numbers, got {chunk!r:.100}")
                sides = (*size_wh, *size_wh)
                corners = [v * side for v, side in zip(chunk[2:6], sides, strict=True)]
                xyxy = usable_xyxy(corners, size_wh, counts, where)
                ends = [[int(v) for v in chunk[:2]]]
                spans = usable_spans(ends, caption, counts, where)
                if xyxy is not None and spans:
                    spans_of.setdefault(xyxy, []).extend(spans)
                elif xyxy is not None:
                    counts.drop(NO_SPAN, where=where)
            boxes = [(xyxy, tuple(dict.fromkeys(spans))) for xyxy, spans in spans_of.items()]
            uri = join_uri(root, str(row.get("url") or row.get("key")))
            sample_id = str(row.get("key") or f"{name}/{row.get('id')}")
            yield grounding_sample(sample_id, uri, size_wh, caption, boxes, name)


def _box_rows(
    files: list[str], name: str, root: str, counts: GoldCounts
) -> Iterator[TrainingSample]:
    """Rows of one record follow one another; rows with one box_id are one box."""
    for record_id, rows in groupby(parquet_rows(files), key=lambda row: row[1]["record_id"]):
        boxes: dict[str, tuple[Xyxy, list[Span]]] = {}
        with counts.entry():
            for where, row in rows:
                size_wh = image_size(row, where)
                caption = require(row, "caption", str, where)
                corners = [row.get(key) for key in ("x0", "y0", "x1", "y1")]
                xyxy = usable_xyxy(corners, size_wh, counts, where)
                span = [[row.get("start"), row.get("end")]]
                spans = usable_spans(span, caption, counts, where)
                if xyxy is not None and spans:
                    boxes.setdefault(str(row.get("box_id")), (xyxy, []))[1].extend(spans)
            uri = join_uri(root, require(row, "image", str, where))
            found = [(xyxy, tuple(dict.fromkeys(spans))) for xyxy, spans in boxes.values()]
            yield grounding_sample(str(record_id), uri, size_wh, caption, found, name)


def _load_hf(files: list[str], name: str, counts: GoldCounts) -> GoldSet:
    """Rows with `spans` are grounding of the row's caption; without, detection."""
    samples: list[TrainingSample] = []
    images: list[DetectionImage] = []
    names = _class_names(files[0])
    for file in files:
        columns = _open(file).schema_arrow.names
        has_sizes = {"width", "height"} <= set(columns)
        columns = [one for one in columns if one != "image" or not has_sizes]
        for number, (where, row) in enumerate(parquet_rows([file], columns, images=not has_sizes)):
            with counts.entry():
                uri = f"{file}#{number}/image"
                size_wh = _size(row, uri, where)
                if size_wh is None:
                    counts.drop(NO_SIZE, where=where)
                    continue
                sample_id = str(row.get("record_id") or f"{name}/{len(samples) + len(images)}")
                objects = row.get("objects")
                caption = row.get("caption")
                if isinstance(objects, dict) and "spans" in objects and caption is not None:
                    boxes = _grounded(objects, caption, size_wh, counts, where)
                    samples.append(grounding_sample(sample_id, uri, size_wh, caption, boxes, name))
                    continue
                image = DetectionImage(sample_id=sample_id, image_uri=uri, size_wh=size_wh)
                for bbox, label, is_crowd in listed_objects(row, where):
                    category = object_name(label, names, where)
                    xyxy = usable_xywh(bbox, size_wh, counts, where)
                    if xyxy is not None and is_crowd:
                        counts[f"dropped: {CROWD}"] += 1
                        crowd = IgnoredBox(xyxy=xyxy, category=category)  # type: ignore[arg-type]
                        image.ignored.append(crowd)
                    elif xyxy is not None:
                        image.boxes.append((xyxy, category))
                images.append(image)
    if samples:
        return _grounding_set(name, "hf", samples, counts)
    return named_detection_set(
        images,
        name=name,
        file_format="hf",
        counts=counts,
        names=[names[number] for number in sorted(names)],
        ids=sorted(names),
    )


def _size(row: dict[str, Any], uri: str, where: str) -> tuple[int, int] | None:
    """What the row says, else that of its image."""
    if row.get("width") is not None or row.get("height") is not None:
        return image_size(row, where)
    data = image_in_cell(row.get("image"))
    return picture_size(uri) if data is None else size_in(data)


def _grounded(
    objects: dict[str, Any], caption: Any, size_wh: tuple[int, int], counts: GoldCounts, where: str
) -> _Boxes:
    boxes: _Boxes = []
    bboxes, listed = objects.get("bbox") or [], objects["spans"] or []
    if len(bboxes) != len(listed):
        raise DataError(f"{where}: objects has {len(bboxes)} boxes and spans for {len(listed)}")
    for bbox, raw in zip(bboxes, listed, strict=True):
        xyxy = usable_xywh(bbox, size_wh, counts, where)
        spans = usable_spans(raw, whole_text(caption, "caption", where), counts, where)
        if xyxy is not None and spans:
            boxes.append((xyxy, spans))
    return boxes


def _class_names(path: str) -> dict[int, str]:
    metadata = _open(path).schema_arrow.metadata or {}
    try:
        info = json.loads(metadata.get(b"huggingface", b"{}"))
        features = info.get("info", {}).get("features", {})
        found = find_class_label(features.get("objects") or features)
    except (ValueError, AttributeError):
        return {}
    return numbered_names(found, f"class names of {path!r}") if found else {}


def parquet_rows(
    files: list[str], columns: list[str] | None = None, *, images: bool = False
) -> Iterator[tuple[str, Any]]:
    """Every row of some files with its place in words; with `images` some at a time.

    Raises:
        DataError: a file is not Parquet, or is torn.
    """
    for file in files:
        number = 0
        what, size = f"gold file {file!r}", os.path.getsize(file)
        try:
            rows = _IMAGES_AT_ONCE if images else 1_000
            for batch in parquet_batches(
                file, what, size, rows=rows, columns=columns, large_values=images
            ):
                for row in batch.to_pylist():
                    yield f"{file} row {number}", row
                    number += 1
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{what} cannot be read: {reason_of(error)}") from error


def _open(path: str) -> pq.ParquetFile:
    try:
        refuse_special(path)
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"gold file {path!r} is not Parquet: {reason_of(error)}") from error
