"""Rows of GLIP's caption TSV, v1 and v2: key, tab, JSON; boxes xyxy with their spans."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.gold.checks import NO_SPAN, image_size, join_uri, require, usable_spans, usable_xyxy
from pipeline.gold.gold_set import GoldCounts, GoldKind, GoldSet, finish_counts, grounding_sample
from pipeline.gold.opened import READ_ERRORS, opened
from schemas.errors import DataError, reason_of
from schemas.records import Span, TrainingSample, Xyxy

BAD_INDEX = "line index that is not the offset of its row"
LENGTHS = "bboxes, scores and tokens_positive must have one entry each"


def load_glip_tsv(path: str, *, image_root: str, counts: GoldCounts | None = None) -> GoldSet:
    """One sample per row. Images are in a TSV of their own, which is not read: the address of an
    image is the row's key below the root.

    Raises:
        DataError: a row breaks the format.
    """
    counts, name = GoldCounts() if counts is None else counts, Path(path).stem
    samples, keys = [], set()
    offsets: list[int] = []
    for number, (offset, line) in enumerate(_lines(path)):
        where = f"{path} line {number + 1}"
        offsets.append(offset)
        with counts.entry():
            sample = _sample(line, where, name, image_root, counts)
            if sample.sample_id in keys:
                raise DataError(f"{where}: the key {sample.sample_id!r} occurs twice")
            keys.add(sample.sample_id)
            samples.append(sample)
    if counts.report is not None:
        _check_index(path, offsets, counts)
    return GoldSet(
        name=name,
        format="glip-tsv",
        kind=GoldKind.GROUNDING,
        samples=tuple(samples),
        counts=finish_counts(counts, tuple(samples)),
    )


def _lines(path: str) -> Iterator[tuple[int, bytes]]:
    offset = 0
    try:
        with opened(path) as stream:
            for line in stream:
                text = line.rstrip(b"\r\n")
                yield offset, text if offset else text.removeprefix(codecs.BOM_UTF8)
                offset += len(line)
    except READ_ERRORS as error:
        raise DataError(f"gold file {path!r} cannot be read: {reason_of(error)}") from error


def _sample(line: bytes, where: str, name: str, root: str, counts: GoldCounts) -> TrainingSample:
    key, tab, text = line.partition(b"\t")
    try:
        row = json.loads(text)
        sample_id = key.decode()
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not a key, a tab and JSON: {error}") from error
    if not tab or not isinstance(row, dict):
        raise DataError(f"{where}: not a key, a tab and a JSON object")
    size_wh = image_size({"width": row.get("img_w"), "height": row.get("img_h")}, where)
    caption = require(row, "caption", str, where)
    boxes: list[tuple[Xyxy, tuple[Span, ...]]] = []
    for corners, raw_spans in _flat(row, where):
        xyxy = usable_xyxy(corners, size_wh, counts, where)
        spans = usable_spans(raw_spans, caption, counts, where)
        if xyxy is not None and spans:
            boxes.append((xyxy, spans))
        elif xyxy is not None:
            counts.drop(NO_SPAN, where=where)
    uri = join_uri(root, sample_id)
    return grounding_sample(sample_id, uri, size_wh, caption, boxes, name)


def _flat(row: dict[str, Any], where: str) -> Iterator[tuple[Any, Any]]:
    """(Corners, spans) of every box; v2 lists the boxes of each entity."""
    boxes, spans = (require(row, key, list, where) for key in ("bboxes", "tokens_positive"))
    scores = require(row, "scores", list, where) if "scores" in row else boxes
    if not len(boxes) == len(spans) == len(scores):
        raise DataError(f"{where}: {LENGTHS}: {len(boxes)} boxes, {len(spans)} spans")
    for box, named in zip(boxes, spans, strict=True):
        if isinstance(box, list) and box and isinstance(box[0], list):
            for corners in box:
                yield corners, named
        else:
            yield box, named


def _check_index(path: str, offsets: list[int], counts: GoldCounts) -> None:
    index = Path(path).with_suffix(".lineidx")
    if not index.is_file():
        counts.clip(f"{index.name} is missing: the loader finds rows by it", where=str(index))
        return
    listed = index.read_text(encoding="ascii", errors="replace").split()
    if listed != [str(offset) for offset in offsets]:
        counts.clip(BAD_INDEX, where=str(index))
