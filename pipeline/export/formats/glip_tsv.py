"""Caption rows of GLIP's own TSV loader, the TSV of images beside them, and the line indices."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from pipeline.export.border import box_spans, caption_mark, size_of
from pipeline.export.decimals import short_float, short_xyxy
from pipeline.export.parts import Part
from pipeline.export.writer import Item, PerPart, Target, Writer
from schemas.records import CuratedBox, CuratedRecord

BEYOND = "box that GLIP's loader would remove (past the last pixel), shifting the spans behind it"
NOTHING_LEFT = "pair whose every box GLIP's loader would remove"


@dataclass(kw_only=True)
class _Tsv:
    """A TSV and its index: the byte offset of each row, one a line."""

    rows: BinaryIO
    index: BinaryIO
    offset: int = 0

    @classmethod
    def at(cls, path: Path, index: Path) -> _Tsv:
        return cls(rows=path.open("wb"), index=index.open("wb"))

    def write(self, key: str, value: str) -> None:
        line = f"{key}\t{value}\n".encode()
        self.index.write(f"{self.offset}\n".encode())
        self.rows.write(line)
        self.offset += len(line)

    def close(self) -> None:
        self.rows.close()
        self.index.close()


class GlipTsvWriter(Writer):
    """`<name>.tsv` (key, tab, JSON) and `<name>.lineidx`, one row per pair.

    With embedded images also `<name>.images.tsv` (key, tab, base64) in the same order, its index,
    and `<name>.yaml`, which names both: what the loader is given.
    """

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._embeds = self.border.images.mode == "embed"
        self._files = PerPart(target.parts, self._open, _close)

    def add(self, item: Item) -> bool:
        record = item.record
        boxes = [box for box in record.boxes if _stays(box, record)]
        self.summary.left_out[BEYOND] += len(record.boxes) - len(boxes)
        if not boxes:
            self.summary.left_out[NOTHING_LEFT] += 1
            return False
        row = (_row_v1 if self.options.tsv_version == 1 else _row_v2)(record, boxes)
        labels, images = self._files.of(item.part)
        labels.write(_key(record), json.dumps(row, separators=(",", ":"), allow_nan=False))
        if images is not None and item.image is not None:
            images.write(_key(record), base64.b64encode(item.image).decode())
        return True

    def finish(self) -> None:
        for files in self._files.all():
            _close(files)
        version = f"rows are v{self.options.tsv_version} (caption_format_version); boxes are xyxy"
        if self._embeds:
            self.summary.notes.append(f"give the loader the .yaml; {version}")
            return
        self.summary.notes.append(
            f"labels only: the loader also wants a TSV of base64 images with the same keys in the "
            f"same order; {version}"
        )
        self.summary.advice.append("--images embed writes the TSV of images as well")

    def _open(self, part: Part) -> tuple[_Tsv, _Tsv | None]:
        file = self.target.publication.file
        stem = part.of_name(self.target.name).removesuffix(".tsv")
        labels = _Tsv.at(file(f"{stem}.tsv"), file(f"{stem}.lineidx"))
        if not self._embeds:
            return labels, None
        images = _Tsv.at(file(f"{stem}.images.tsv"), file(f"{stem}.images.lineidx"))
        file(f"{stem}.yaml").write_text(
            f"img: {json.dumps(stem + '.images.tsv')}\nlabel: {json.dumps(stem + '.tsv')}\n",
            encoding="utf-8",
        )
        return labels, images


def _close(files: tuple[_Tsv, _Tsv | None]) -> None:
    for file in files:
        if file is not None:
            file.close()


def _stays(box: CuratedBox, record: CuratedRecord) -> bool:
    """True where GLIP's loader keeps the box: it moves corners to the last pixel and then removes
    boxes without an area, but not their spans."""
    x0, y0, x1, y1 = short_xyxy(box.xyxy, size_of(record))
    right, bottom = record.width - 1, record.height - 1
    return min(x1, right) > min(x0, right) and min(y1, bottom) > min(y0, bottom)


def _key(record: CuratedRecord) -> str:
    return record.record_id.replace("\t", " ").replace("\n", " ").replace("\r", " ")


def _row_v1(record: CuratedRecord, boxes: list[CuratedBox]) -> dict[str, Any]:
    return _head(record) | {
        "bboxes": [short_xyxy(box.xyxy, size_of(record)) for box in boxes],
        "scores": [short_float(box.score) for box in boxes],
        "tokens_positive": [[list(span) for span in box_spans(record, box)] for box in boxes],
    }


def _row_v2(record: CuratedRecord, boxes: list[CuratedBox]) -> dict[str, Any]:
    """Boxes that the same spans name are one entity."""
    entities: dict[tuple[tuple[int, int], ...], list[CuratedBox]] = {}
    for box in boxes:
        entities.setdefault(tuple(box_spans(record, box)), []).append(box)
    return _head(record) | {
        "bboxes": [
            [short_xyxy(box.xyxy, size_of(record)) for box in named] for named in entities.values()
        ],
        "scores": [[short_float(box.score) for box in named] for named in entities.values()],
        "tokens_positive": [[list(span) for span in spans] for spans in entities],
    }


def _head(record: CuratedRecord) -> dict[str, Any]:
    return {
        "img_h": record.height,
        "img_w": record.width,
        "caption": record.caption,
        **caption_mark(record),
    }
