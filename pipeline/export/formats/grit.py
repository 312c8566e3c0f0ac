"""GRIT's Parquet rows (Kosmos-2): normalised boxes, span offsets stored as floats."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from pipeline.export.border import size_of
from pipeline.export.decimals import relative_xyxy
from pipeline.export.formats.parquet_rows import ParquetFiles
from pipeline.export.writer import Item, Target, Writer
from schemas.records import Phrase

_CHUNKS = pa.list_(pa.list_(pa.float64()))
GRIT_SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("id", pa.int64()),
        ("url", pa.string()),
        ("caption", pa.string()),
        ("width", pa.int64()),
        ("height", pa.int64()),
        ("original_width", pa.int64()),
        ("original_height", pa.int64()),
        ("clip_similarity_vitb32", pa.float64()),
        ("clip_similarity_vitl14", pa.float64()),
        ("noun_chunks", _CHUNKS),
        ("ref_exps", _CHUNKS),
        ("sha256", pa.string()),
    ]
)


class GritWriter(Writer):
    """One row per pair; noun_chunks is a list of [start, end, x0, y0, x1, y1, score]."""

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._files = ParquetFiles(target, GRIT_SCHEMA)
        self._number = 0

    def add(self, item: Item) -> bool:
        self._files.write(item.part, _row(item, self._number))
        self._number += 1
        return True

    def finish(self) -> None:
        self._files.close()
        self.summary.notes.append(
            "ref_exps holds a phrase that another of the same box lies in (policy "
            "grit-expressions); the CLIP similarities are null; boxes are shares of the image; "
            "negative phrases cannot be said"
        )


def _holds(phrase: Phrase, other: Phrase) -> bool:
    """Whether the other phrase lies in it and is not all of it."""
    inside = phrase.start <= other.start and other.end <= phrase.end
    return inside and (phrase.start, phrase.end) != (other.start, other.end)


def _row(item: Item, number: int) -> dict[str, Any]:
    record = item.record
    width, height = size_of(record)
    chunks: list[list[float]] = []
    expressions: list[list[float]] = []
    for box in record.boxes:
        place = relative_xyxy(box.xyxy, (width, height))
        for index in box.phrase_indices:
            phrase = record.phrases[index]
            entry = [float(phrase.start), float(phrase.end), *place, box.score]
            is_wide = any(_holds(phrase, record.phrases[other]) for other in box.phrase_indices)
            (expressions if is_wide else chunks).append(entry)
    return {
        "key": record.record_id,
        "id": number,
        "url": item.file_name,
        "caption": record.caption,
        "width": width,
        "height": height,
        "original_width": width,
        "original_height": height,
        "clip_similarity_vitb32": None,
        "clip_similarity_vitl14": None,
        "noun_chunks": chunks,
        "ref_exps": expressions,
        "sha256": record.image_sha256,
    }
