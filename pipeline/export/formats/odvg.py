"""ODVG rows (Open-GroundingDino, MMDetection, TAO): JSON lines of grounding or detection, xyxy."""

from __future__ import annotations

import json
from typing import IO, Any

from pipeline.export.border import caption_mark, size_of
from pipeline.export.decimals import short_float, short_xyxy
from pipeline.export.formats.coco import listed_boxes
from pipeline.export.formats.image_spool import OTHER_SIZE, ImageSpool, json_text
from pipeline.export.parts import Part
from pipeline.export.writer import Item, PerPart, Target, Writer
from schemas.records import CuratedRecord


class LineFiles:
    """A text file for each part of an export."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._files = PerPart(target.parts, self._open, lambda file: file.close())

    def write(self, part: Part, line: str) -> None:
        """Add a line to the file of a part."""
        self._files.of(part).write(line + "\n")

    def close(self) -> None:
        """Close every file."""
        for file in self._files.all():
            file.close()

    def _open(self, part: Part) -> IO[str]:
        path = self._target.publication.file(part.of_name(self._target.name))
        return path.open("w", encoding="utf-8", newline="\n")


class OdvgWriter(Writer):
    """One row per pair; one region per box and phrase occurrence.

    MMDetection takes a list of boxes in a region, Open-GroundingDino does not: with one box in each
    region both read the same. A row without a region is nothing to either.
    """

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._files = LineFiles(target)

    def add(self, item: Item) -> bool:
        record = item.record
        row = {
            "filename": item.file_name,
            "height": record.height,
            "width": record.width,
            "record_id": record.record_id,
            "grounding": {"caption": record.caption, "regions": _regions(record)},
            **caption_mark(record),
        }
        self._files.write(item.part, json_text(row))
        return True

    def finish(self) -> None:
        self._files.close()
        self.summary.notes.append(
            "grounding rows: give the loader no label map, or it takes the file for detection (and "
            "takes a detection file without one for grounding); boxes are xyxy, one a region; "
            "negative phrases cannot be said"
        )


def _regions(record: CuratedRecord) -> list[dict[str, Any]]:
    regions = []
    for index, phrase in enumerate(record.phrases):
        for box in record.boxes:
            if index in box.phrase_indices:
                regions.append(
                    {
                        "phrase": phrase.text,
                        "bbox": short_xyxy(box.xyxy, size_of(record)),
                        "tokens_positive": [[phrase.start, phrase.end]],
                        "score": short_float(box.score),
                    }
                )
    return regions


class OdvgDetectionWriter(Writer):
    """One detection row per image, and the label map that loaders want with it."""

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._spools = PerPart(target.parts, self._open, lambda spool: spool[0].seal())

    def add(self, item: Item) -> bool:
        record, categories = item.record, self.target.categories
        found = list(listed_boxes(item, categories, self))
        if record.boxes and not found:
            return False
        instances = [
            {
                "bbox": short_xyxy(box.xyxy, size_of(record)),
                "label": category,
                "category": categories.names[category],
                "score": short_float(box.score),
            }
            for box, category in found
        ]
        row = {
            "filename": item.file_name,
            "height": record.height,
            "width": record.width,
            "record_id": record.record_id,
            "detection": {"instances": instances},
        }
        if self._spools.of(item.part)[0].add(item, row) is None:
            self.summary.left_out[OTHER_SIZE] += 1
            return False
        return True

    def finish(self) -> None:
        for spool, name in self._spools.all():
            with self.target.publication.file(name).open(
                "w", encoding="utf-8", newline="\n"
            ) as out:
                out.writelines(line + "\n" for line in spool.lines())
        stem = self.target.name.removesuffix(".jsonl")
        categories = self.target.categories
        names = categories.names
        label_map = {str(place): name for place, name in enumerate(names)}
        text = json.dumps(label_map, indent=1, ensure_ascii=False) + "\n"
        path = self.target.publication.file(f"{stem}.label_map.json")
        path.write_text(text, encoding="utf-8")
        which = categories.described(self.options.categories)
        self.summary.notes.append(
            f"{len(names)} categories ({which}), labels from 0 as in "
            f"{path.name}: loaders take the file for grounding where that map is not given; boxes "
            "are xyxy; labels are not exhaustive"
        )

    def _open(self, part: Part) -> tuple[ImageSpool, str]:
        name = part.of_name(self.target.name)
        path = self.target.publication.file(name)
        return ImageSpool(path.with_name(path.name + ".images")), name
