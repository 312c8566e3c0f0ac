"""LVIS-style JSON: federated labels, where only listed categories are known to be absent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from pipeline.export.border import size_of
from pipeline.export.decimals import short_float, short_xywh
from pipeline.export.formats.coco import image_entry, listed_boxes
from pipeline.export.formats.coco_writer import CocoWriter
from pipeline.export.formats.image_spool import OTHER_SIZE, json_text
from pipeline.export.parts import Part
from pipeline.export.writer import Item, PerPart, Target, Writer

# LVIS's own bounds: categories in at most 10 images are rare, in at most 100 common.
_RARE, _COMMON = 10, 100


class _LvisFile:
    def __init__(self, coco: CocoWriter) -> None:
        self.coco = coco
        self.images: Counter[int] = Counter()
        self.instances: Counter[int] = Counter()


class LvisWriter(Writer):
    """One image entry per image. A caption does not promise to name everything, so every category
    that is present is also listed as not exhaustive; recorded negatives are the known absences.
    """

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._files = PerPart(target.parts, self._open, lambda file: file.coco.seal())

    def add(self, item: Item) -> bool:
        record, categories = item.record, self.target.categories
        masks = self.options.masks
        found = list(listed_boxes(item, categories, self))
        if record.boxes and not found:
            return False
        file = self._files.of(item.part)
        absent = {categories.of_phrase(phrase) for phrase in self.border.negatives(record)}
        name = item.file_name
        lists = {
            # Some readers take the last two parts: a folder and a file.
            "coco_url": name if "/" in name else f"./{name}",
            "flickr_url": "",
            "neg_category_ids": sorted(place for place in absent if place is not None),
            "not_exhaustive_category_ids": sorted({category for _, category in found}),
        }
        placed = file.coco.image(item, image_entry(item) | lists)
        if placed is None:
            self.summary.left_out[OTHER_SIZE] += 1
            return False
        file.instances.update(category for _, category in found)
        for box, category in found:
            bbox = short_xywh(box.xyxy, size_of(record))
            file.coco.annotation(
                {
                    "image_id": placed[0],
                    "category_id": categories.id_of(category),
                    "bbox": bbox,
                    "area": short_float(bbox[2] * bbox[3]),
                    "segmentation": [],
                    "score": short_float(box.score),
                }
                | (masks.of(box, record.height, record.width) if masks else {})
            )
        return True

    def finish(self) -> None:
        for file in self._files.all():
            self._finish_file(file)
        boxes_only = "" if self.options.masks else "boxes only: segmentation is empty; "
        self.summary.notes.append(f"{boxes_only}synset and def are not known")

    def _finish_file(self, file: _LvisFile) -> None:
        categories = self.target.categories
        file.coco.finish(
            lambda: [
                {
                    "id": categories.id_of(place),
                    "name": name,
                    "synset": "",
                    "synonyms": [name],
                    "def": "",
                    "frequency": _frequency(file.images[place]),
                    "image_count": file.images[place],
                    "instance_count": file.instances[place],
                }
                for place, name in enumerate(categories.names)
            ],
            self._with_ids(file),  # counts in how many images a category is
        )

    def _with_ids(self, file: _LvisFile) -> Iterator[str]:
        """The entries with ids; what one caption calls absent and another names is present."""
        id_of = self.target.categories.id_of
        for _, entry in file.coco.images.entries():
            present = set(entry["not_exhaustive_category_ids"])
            absent = set(entry["neg_category_ids"]) - present
            file.images.update(present)
            entry["not_exhaustive_category_ids"] = [id_of(place) for place in sorted(present)]
            entry["neg_category_ids"] = [id_of(place) for place in sorted(absent)]
            yield json_text(entry)

    def _open(self, part: Part) -> _LvisFile:
        path = self.target.publication.file(part.of_name(self.target.name))
        info: dict[str, Any] = {"description": "glipforge LVIS-style export"}
        return _LvisFile(CocoWriter(path, info=info, keep_pairs=self.options.keep_pairs))


def _frequency(image_count: int) -> str:
    return "r" if image_count <= _RARE else "c" if image_count <= _COMMON else "f"
