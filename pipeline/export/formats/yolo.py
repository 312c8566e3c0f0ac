"""Ultralytics' YOLO layout: images/, labels/ with a text file per image, and data.yaml."""

from __future__ import annotations

import posixpath

from pipeline.export.border import size_of
from pipeline.export.decimals import relative_cxcywh
from pipeline.export.formats.coco import listed_boxes
from pipeline.export.formats.image_spool import OTHER_SIZE
from pipeline.export.writer import Item, Target, Writer
from schemas.redaction import yaml_string

LABEL_FOLDER, IMAGE_FOLDER = "labels", "images"


class YoloWriter(Writer):
    """`class cx cy w h` in shares of the image, a line a box; an empty file where there is none.

    Several captions of an image share its label file.
    """

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._sizes: dict[str, tuple[int, int]] = {}
        self._splits = [split or "train" for split in target.splits]
        for split in self._splits:
            target.publication.file(f"{LABEL_FOLDER}/{split}/x")  # a folder, also where it is empty
            target.publication.file(f"{IMAGE_FOLDER}/{split}/x")

    def add(self, item: Item) -> bool:
        record = item.record
        found = list(listed_boxes(item, self.target.categories, self))
        if record.boxes and not found:
            return False
        if self._sizes.setdefault(item.file_name, size_of(record)) != size_of(record):
            self.summary.left_out[OTHER_SIZE] += 1
            return False
        name = item.file_name.removeprefix(f"{IMAGE_FOLDER}/")
        path = self.target.publication.file(f"{LABEL_FOLDER}/{posixpath.splitext(name)[0]}.txt")
        with path.open("a", encoding="ascii", newline="\n") as lines:
            for box, category in found:
                place = relative_cxcywh(box.xyxy, size_of(record))
                lines.write(f"{category} {' '.join(_plain(value) for value in place)}\n")
        return True

    def finish(self) -> None:
        names = self.target.categories.names
        train, val = self._splits[0], self._splits[1] if len(self._splits) > 1 else self._splits[0]
        # No `path`: Ultralytics then starts at the file; "." would be where it was started.
        lines = [f"train: {IMAGE_FOLDER}/{train}", f"val: {IMAGE_FOLDER}/{val}"]
        if len(self._splits) > 2:
            lines.append(f"test: {IMAGE_FOLDER}/{self._splits[2]}")
        lines.append("names:" if names else "names: []")
        lines += [f"  {place}: {yaml_string(name)}" for place, name in enumerate(names)]
        path = self.target.publication.file("data.yaml")
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        which = self.target.categories.described(self.options.categories)
        self.summary.notes.append(
            f"{len(names)} classes ({which}); labels are not exhaustive, and "
            "YOLO takes what is not labelled for background"
        )
        if len(self._splits) == 1:
            self.summary.advice.append(
                "--split 0.9,0.1 gives a set to validate on: data.yaml now names one for both"
            )


def _plain(value: float) -> str:
    """The shortest decimal without an exponent."""
    text = repr(float(value))
    return text if "e" not in text else f"{value:.12f}"
