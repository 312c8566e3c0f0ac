"""Plain COCO: detection boxes with head nouns, listed names or one dummy as categories."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pipeline.export.border import box_spans, caption_mark, size_of
from pipeline.export.categories import NOT_LISTED, Categories
from pipeline.export.decimals import short_float, short_xywh
from pipeline.export.formats.coco_writer import CocoWriter
from pipeline.export.formats.image_spool import OTHER_SIZE
from pipeline.export.gold_facts import facts_of
from pipeline.export.parts import Part
from pipeline.export.writer import Item, PerPart, Target, Writer
from pipeline.gold.gold_set import Crowd
from schemas.records import CuratedBox, Xyxy

CROWD_WITHOUT_IMAGE = "region to ignore whose image is left out"
CROWD_NOT_LISTED = "region to ignore whose category is none of the categories"


class CocoExport(Writer):
    """One image entry per image, with all its captions; or per pair, where that is asked for.

    Phrases, spans and scores are extra keys of the annotations; `caption_index` says which of the
    image's captions the spans are of.
    """

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._files = PerPart(target.parts, self._open, CocoWriter.seal)
        self._crowds: set[tuple[Part, int, str, Xyxy]] = set()
        """Those that are written: captions of one image mostly have the same."""

    def add(self, item: Item) -> bool:
        record = item.record
        found = list(listed_boxes(item, self.target.categories, self))
        crowds = facts_of(record).crowds
        if record.boxes and not found:
            self.summary.left_out[CROWD_WITHOUT_IMAGE] += len(crowds)
            return False  # with none of its boxes an image would say that it is empty
        file = self._files.of(item.part)
        placed = file.image(item, image_entry(item))
        if placed is None:
            self.summary.left_out[OTHER_SIZE] += 1
            self.summary.left_out[CROWD_WITHOUT_IMAGE] += len(crowds)
            return False
        for box, category in found:
            file.annotation(self._annotation(item, box, placed, category))
        new = [
            (key, crowd)
            for crowd in crowds
            if (key := (item.part, placed[0], crowd.category, crowd.xyxy)) not in self._crowds
        ]
        for key, crowd in new:  # a file may say the same twice
            self._crowds.add(key)
            self._write_crowd(file, item, crowd, placed[0])
        return True

    def _write_crowd(self, file: CocoWriter, item: Item, crowd: Crowd, image_id: int) -> None:
        record, categories = item.record, self.target.categories
        category = categories.of_name(crowd.category)
        if category is None:
            self.summary.left_out[CROWD_NOT_LISTED] += 1
            return
        bbox = short_xywh(crowd.xyxy, size_of(record))
        entry: dict[str, Any] = {
            "image_id": image_id,
            "category_id": categories.id_of(category),
            "iscrowd": 1,
            "bbox": bbox,
            "area": short_float(bbox[2] * bbox[3]),
            "origin": "gold",
        }
        if crowd.mask is not None:
            size = [record.height, record.width]
            entry["segmentation"] = {"size": size, "counts": crowd.mask.counts}
            entry["area"] = crowd.mask.area
        file.annotation(entry)
        self.summary.crowds += 1

    def finish(self) -> None:
        categories = self.target.categories
        for file in self._files.all():
            file.finish(
                lambda: [
                    {"id": categories.id_of(place), "name": name, "supercategory": "object"}
                    for place, name in enumerate(categories.names)
                ]
            )
        entries = (
            "an image with several captions has one entry per caption under the same file_name"
            if self.options.keep_pairs
            else "an image has one entry, whatever the number of its captions"
        )
        which = categories.described(self.options.categories)
        self.summary.notes.append(
            f"{len(categories.names)} categories ({which}); {entries}; labels are not exhaustive"
        )

    def _open(self, part: Part) -> CocoWriter:
        path = self.target.publication.file(part.of_name(self.target.name))
        info = {"description": "glipforge detection export"}
        return CocoWriter(path, info=info, keep_pairs=self.options.keep_pairs)

    def _annotation(
        self, item: Item, box: CuratedBox, placed: tuple[int, int], category: int
    ) -> dict[str, Any]:
        record = item.record
        bbox = short_xywh(box.xyxy, size_of(record))
        masks = self.options.masks
        return {
            "image_id": placed[0],
            "category_id": self.target.categories.id_of(category),
            "iscrowd": 0,
            "bbox": bbox,
            "area": short_float(bbox[2] * bbox[3]),
            "score": short_float(box.score),
            "phrase": record.phrases[box.phrase_indices[0]].text,
            "phrase_id": box.phrase_indices[0],
            "caption_index": placed[1],
            "tokens_positive": [list(span) for span in box_spans(record, box)],
            "box_id": box.box_id,
            "origin": box.origin,
        } | (masks.of(box, record.height, record.width) if masks else {})


def image_entry(item: Item) -> dict[str, Any]:
    """COCO's image entry with the captions of the image; lists grow with each caption."""
    record = item.record
    return {
        "file_name": item.file_name,
        "height": record.height,
        "width": record.width,
        "caption": record.caption,
        "captions": [record.caption],
        "record_id": record.record_id,
        "record_ids": [record.record_id],
        **caption_mark(record),
    }


def listed_boxes(
    item: Item, categories: Categories, writer: Writer
) -> Iterator[tuple[CuratedBox, int]]:
    """The boxes of a record that have a category, with its place; the others are counted."""
    for box in item.record.boxes:
        category = categories.of_box(item.record, box)
        if category is None:
            writer.summary.left_out[NOT_LISTED] += 1
        else:
            writer.summary.categories[categories.names[category]] += 1
            yield box, category
