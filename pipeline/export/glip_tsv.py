"""Caption rows of GLIP's own TSV loader, with the index of line offsets that it needs."""

from __future__ import annotations

import json
from collections.abc import Iterable

from pipeline.export.checked_output import (
    ExportBorder,
    ExportOptions,
    ExportSummary,
    box_spans,
    published,
    short_float,
    short_xyxy,
)
from schemas.errors import ConfigError
from schemas.records import CuratedRecord


def export_glip_tsv(
    records: Iterable[CuratedRecord], path: str, options: ExportOptions
) -> ExportSummary:
    """`<path>.tsv` (key, tab, JSON) and its `.lineidx` of byte offsets, one row per pair.

    Raises:
        ConfigError: the path does not end in `.tsv`.
        DataError: a record breaks the contract.
    """
    if not path.endswith(".tsv"):
        raise ConfigError(f"out must end in .tsv for glip-tsv, got {path!r}")
    index_path = path.removesuffix(".tsv") + ".lineidx"
    summary = ExportSummary(format="glip-tsv", paths=[path, index_path])
    border = ExportBorder(summary, options)
    offset = 0
    with (
        published(path) as staged,
        published(index_path) as staged_index,
        staged.open("wb") as rows,
        staged_index.open("w", encoding="ascii", newline="\n") as index,
    ):
        for record in records:
            if border.accept(record):
                line = f"{_key(record)}\t{_row(record)}\n".encode()
                index.write(f"{offset}\n")
                rows.write(line)
                offset += len(line)
    summary.notes.append(
        "labels only: the loader also wants a TSV of base64 images with the same keys in the same "
        "order; boxes are xyxy"
    )
    return summary


def _key(record: CuratedRecord) -> str:
    return record.record_id.replace("\t", " ").replace("\n", " ").replace("\r", " ")


def _row(record: CuratedRecord) -> str:
    row = {
        "img_h": record.height,
        "img_w": record.width,
        "caption": record.caption,
        "bboxes": [short_xyxy(box) for box in record.boxes],
        "scores": [short_float(box.score) for box in record.boxes],
        "tokens_positive": [
            [list(span) for span in box_spans(record, box)] for box in record.boxes
        ],
    }
    return json.dumps(row, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
