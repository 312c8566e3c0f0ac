"""Plain COCO: detection boxes with head nouns (or one dummy) as categories."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pipeline.curation.phrase_rules import phrase_head
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
from schemas.records import CuratedBox, CuratedRecord


class HeadCategories:
    """Category ids from 1, in the order in which head nouns first occur.

    Never one category per phrase: a web corpus has tens of millions of different phrases.
    """

    def __init__(self, mode: str) -> None:
        self._mode = mode
        self.ids: dict[str, int] = {} if mode == "head" else {"object": 1}

    def of_box(self, record: CuratedRecord, box: CuratedBox) -> int:
        """The category of a box: that of its first phrase."""
        return self.of_head(phrase_head(record.phrases[box.phrase_indices[0]]))

    def of_head(self, head: str) -> int:
        """The category of a head noun."""
        return self.ids.setdefault(head if self._mode == "head" else "object", len(self.ids) + 1)

    def entries(self) -> list[dict[str, Any]]:
        """COCO's category list."""
        return [
            {"id": category, "name": name, "supercategory": "object"}
            for name, category in self.ids.items()
        ]


def export_coco(
    records: Iterable[CuratedRecord], path: str, options: ExportOptions
) -> ExportSummary:
    """One image entry per pair; phrases, spans and scores as extra keys of the annotations.

    Raises:
        DataError: a record breaks the contract.
    """
    summary = ExportSummary(format="coco", paths=[path])
    border = ExportBorder(summary, options)
    categories = HeadCategories(options.categories)
    with published(path) as staged:
        writer = CocoWriter(staged, info={"description": "glipforge detection export"})
        for record in records:
            if not border.accept(record):
                continue
            image_id = writer.image(
                {
                    "file_name": border.file_name(record),
                    "height": record.height,
                    "width": record.width,
                    "caption": record.caption,
                    "record_id": record.record_id,
                }
            )
            for box in record.boxes:
                writer.annotation(_annotation(record, box, image_id, categories))
        writer.finish(categories.entries())
    summary.notes.append(
        f"{len(categories.ids)} categories ({options.categories}); an image with several captions "
        "has one entry per caption under the same file_name; labels are not exhaustive"
    )
    return summary


def _annotation(
    record: CuratedRecord, box: CuratedBox, image_id: int, categories: HeadCategories
) -> dict[str, Any]:
    bbox = short_xywh(box)
    return {
        "image_id": image_id,
        "category_id": categories.of_box(record, box),
        "iscrowd": 0,
        "bbox": bbox,
        "area": short_float(bbox[2] * bbox[3]),
        "score": short_float(box.score),
        "phrase": record.phrases[box.phrase_indices[0]].text,
        "phrase_id": box.phrase_indices[0],
        "tokens_positive": [list(span) for span in box_spans(record, box)],
        "box_id": box.box_id,
        "origin": box.origin,
    }
