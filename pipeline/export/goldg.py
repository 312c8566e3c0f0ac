"""MDETR's grounding JSON, the format of GoldG: what GLIP and its successors train on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pipeline.export.checked_output import (
    ExportBorder,
    ExportOptions,
    ExportSummary,
    box_spans,
    published,
    short_float,
    short_xywh,
)
from pipeline.export.coco_writer import CocoWriter
from schemas.records import CuratedRecord


def export_goldg(
    records: Iterable[CuratedRecord], path: str, options: ExportOptions
) -> ExportSummary:
    """One image entry per pair, one annotation per box, spans of all its phrases.

    `tokens_negative` holds the recorded negatives: phrases that the teacher found nowhere.

    Raises:
        DataError: a record breaks the contract.
    """
    summary = ExportSummary(format="goldg", paths=[path])
    border = ExportBorder(summary, options)
    with published(path) as staged:
        writer = CocoWriter(staged, info={"description": "glipforge grounding export"})
        for record in records:
            if border.accept(record):
                image_id = writer.image(_image_entry(record, border))
                for annotation in _annotations(record, image_id):
                    writer.annotation(annotation)
        writer.finish([{"id": 1, "name": "object", "supercategory": "object"}])
    summary.notes.append(
        "an image with several captions has one entry per caption under the same file_name; "
        "boxes are xywh, spans are half-open character offsets"
    )
    return summary


def _image_entry(record: CuratedRecord, border: ExportBorder) -> dict[str, Any]:
    return {
        "file_name": border.file_name(record),
        "height": record.height,
        "width": record.width,
        "caption": record.caption,
        "dataset_name": border.options.dataset_name,
        "data_source": border.options.data_source,
        "tokens_negative": [[p.start, p.end] for p in border.negatives(record)],
        "record_id": record.record_id,
        "source": record.source,
    }


def _annotations(record: CuratedRecord, image_id: int) -> Iterable[dict[str, Any]]:
    for box in record.boxes:
        bbox = short_xywh(box)
        yield {
            "image_id": image_id,
            "category_id": 1,
            "iscrowd": 0,
            "bbox": bbox,
            "area": short_float(bbox[2] * bbox[3]),
            "tokens_positive": [list(span) for span in box_spans(record, box)],
            "score": short_float(box.score),
            "box_id": box.box_id,
            "origin": box.origin,
        }
