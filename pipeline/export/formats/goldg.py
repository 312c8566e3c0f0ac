"""MDETR's grounding JSON, the format of GoldG: what GLIP and its successors train on."""

from __future__ import annotations

from typing import Any

from pipeline.export.border import box_spans, caption_mark, size_of
from pipeline.export.decimals import short_float, short_xywh
from pipeline.export.formats.coco_writer import CocoWriter
from pipeline.export.parts import Part
from pipeline.export.writer import Item, PerPart, Target, Writer
from schemas.records import CuratedBox

DATASET_NAME = "mixed"
"""What loaders select their image folder by."""
DATA_SOURCE = "vg"
"""The image folder that loaders of mixed sets choose."""


class GoldgWriter(Writer):
    """One image entry per pair, one annotation per box, spans of all its phrases.

    `tokens_negative` holds the recorded negatives: phrases that the teacher found nowhere.
    """

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._files = PerPart(target.parts, self._open, CocoWriter.seal)

    def add(self, item: Item) -> bool:
        file = self._files.of(item.part)
        placed = file.image(item, self._image_entry(item))
        if placed is None:
            raise AssertionError("pairs are kept apart")
        for box in item.record.boxes:
            file.annotation(_annotation(item, box, placed[0]))
        return True

    def finish(self) -> None:
        for file in self._files.all():
            file.finish(lambda: [{"id": 1, "name": "object", "supercategory": "object"}])
        self.summary.notes.append(
            "an image with several captions has one entry per caption under the same file_name; "
            "boxes are xywh, spans are half-open character offsets"
        )

    def _open(self, part: Part) -> CocoWriter:
        path = self.target.publication.file(part.of_name(self.target.name))
        return CocoWriter(path, info={"description": "glipforge grounding export"}, keep_pairs=True)

    def _image_entry(self, item: Item) -> dict[str, Any]:
        record = item.record
        return {
            "file_name": item.file_name,
            "height": record.height,
            "width": record.width,
            "caption": record.caption,
            "dataset_name": DATASET_NAME,
            "data_source": DATA_SOURCE,
            "tokens_negative": [[p.start, p.end] for p in self.border.negatives(record)],
            "record_id": record.record_id,
            "source": record.source,
            **caption_mark(record),
        }


def _annotation(item: Item, box: CuratedBox, image_id: int) -> dict[str, Any]:
    bbox = short_xywh(box.xyxy, size_of(item.record))
    return {
        "image_id": image_id,
        "category_id": 1,
        "iscrowd": 0,
        "bbox": bbox,
        "area": short_float(bbox[2] * bbox[3]),
        "tokens_positive": [list(span) for span in box_spans(item.record, box)],
        "score": short_float(box.score),
        "box_id": box.box_id,
        "origin": box.origin,
    }
