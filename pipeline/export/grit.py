"""GRIT's Parquet rows (Kosmos-2): normalised boxes, span offsets stored as floats."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.export.checked_output import (
    ExportBorder,
    ExportOptions,
    ExportSummary,
    published,
)
from schemas.records import CuratedRecord

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
_ROWS_PER_GROUP = 1_000


def export_grit(
    records: Iterable[CuratedRecord], path: str, options: ExportOptions
) -> ExportSummary:
    """One row per pair; noun_chunks is a list of [start, end, x0, y0, x1, y1, score].

    Raises:
        DataError: a record breaks the contract.
    """
    summary = ExportSummary(format="grit", paths=[path])
    border = ExportBorder(summary, options)
    with published(path) as staged, pq.ParquetWriter(staged, GRIT_SCHEMA) as writer:
        accepted = (record for record in records if border.accept(record))
        rows = (_row(record, number, border) for number, record in enumerate(accepted))
        while batch := list(islice(rows, _ROWS_PER_GROUP)):
            writer.write_table(pa.Table.from_pylist(batch, schema=GRIT_SCHEMA))
    summary.notes.append(
        "ref_exps is empty (phrases are not expanded to referring expressions) and the CLIP "
        "similarities are null; boxes are shares of the image"
    )
    return summary


def _row(record: CuratedRecord, number: int, border: ExportBorder) -> dict[str, Any]:
    width, height = record.width, record.height
    chunks = []
    for box in record.boxes:
        x0, y0, x1, y1 = box.xyxy
        place = [x0 / width, y0 / height, x1 / width, y1 / height]
        for index in box.phrase_indices:
            phrase = record.phrases[index]
            chunks.append([float(phrase.start), float(phrase.end), *place, box.score])
    return {
        "key": record.record_id,
        "id": number,
        "url": border.file_name(record),
        "caption": record.caption,
        "width": width,
        "height": height,
        "original_width": width,
        "original_height": height,
        "clip_similarity_vitb32": None,
        "clip_similarity_vitl14": None,
        "noun_chunks": chunks,
        "ref_exps": [],
        "sha256": record.image_sha256,
    }
