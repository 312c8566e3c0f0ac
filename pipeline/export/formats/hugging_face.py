"""What Hugging Face's `datasets` loads: a table of boxes, images in Parquet, an image folder."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa

from pipeline.export.border import box_spans, caption_mark, size_of
from pipeline.export.categories import Categories
from pipeline.export.decimals import short_float, short_xywh, short_xyxy
from pipeline.export.formats.coco import listed_boxes
from pipeline.export.formats.image_spool import OTHER_SIZE, ImageSpool
from pipeline.export.formats.parquet_rows import ParquetFiles
from pipeline.export.parts import Part
from pipeline.export.writer import Item, PerPart, Target, Writer

BOX_ROWS = pa.schema(
    [
        ("image", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("caption", pa.string()),
        ("phrase", pa.string()),
        ("start", pa.int32()),
        ("end", pa.int32()),
        ("head", pa.string()),
        ("x0", pa.float32()),
        ("y0", pa.float32()),
        ("x1", pa.float32()),
        ("y1", pa.float32()),
        ("score", pa.float32()),
        ("origin", pa.string()),
        ("box_id", pa.string()),
        ("record_id", pa.string()),
        ("image_sha256", pa.string()),
    ]
)


class BoxTableWriter(Writer):
    """A row per box and phrase, for SQL and data frames."""

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._files = ParquetFiles(target, BOX_ROWS)

    def add(self, item: Item) -> bool:
        record = item.record
        for box in record.boxes:
            x0, y0, x1, y1 = short_xyxy(box.xyxy, size_of(record))
            for index in box.phrase_indices:
                phrase = record.phrases[index]
                row = {
                    "image": item.file_name,
                    "width": record.width,
                    "height": record.height,
                    "caption": record.caption,
                    "phrase": phrase.text,
                    "start": phrase.start,
                    "end": phrase.end,
                    "head": phrase.head,
                    "x0": x0,
                    "y0": y0,
                    "x1": x1,
                    "y1": y1,
                    "score": box.score,
                    "origin": box.origin,
                    "box_id": box.box_id,
                    "record_id": record.record_id,
                    "image_sha256": record.image_sha256,
                }
                self._files.write(item.part, row)
        return True

    def finish(self) -> None:
        self._files.close()
        self.summary.notes.append(
            "a row per box and phrase: a box of two phrases has two rows with one box_id; corners "
            "are x0 y0 x1 y1; negative phrases cannot be said"
        )


def objects_of(item: Item, writer: Writer, categories: Categories) -> dict[str, list[Any]] | None:
    """The boxes of a record in lists of equal length; None where a closed list names none."""
    record = item.record
    found = list(listed_boxes(item, categories, writer))
    if record.boxes and not found:
        return None
    closed = categories.mode != "head"
    size = size_of(record)
    return {
        "bbox": [short_xywh(box.xyxy, size) for box, _ in found],
        "category": [place if closed else categories.names[place] for _, place in found],
        "phrase": [record.phrases[box.phrase_indices[0]].text for box, _ in found],
        "spans": [[list(span) for span in box_spans(record, box)] for box, _ in found],
        "score": [short_float(box.score) for box, _ in found],
        "origin": [box.origin for box, _ in found],
    }


class ImageTableWriter(Writer):
    """Parquet with the images' bytes, a row per pair, typed so that `datasets` and the hub's viewer
    show pictures, captions and class names."""

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        if target.categories.mode == "object":
            target.categories.names[:] = ["object"]
        self._files = ParquetFiles(target, image_rows(target.categories), _shard_name)

    def add(self, item: Item) -> bool:
        objects = objects_of(item, self, self.target.categories)
        if objects is None or item.image is None:
            return False
        record = item.record
        row = {
            "image": {"bytes": item.image, "path": item.file_name},
            "width": record.width,
            "height": record.height,
            "caption": record.caption,
            "objects": objects,
            "negatives": [phrase.text for phrase in self.border.negatives(record)],
            "record_id": record.record_id,
        }
        self._files.write(item.part, row, len(item.image))
        return True

    def finish(self) -> None:
        self._files.close()
        self.summary.notes.append(
            "load_dataset(FOLDER) loads it; objects.bbox is xywh, objects.spans are character "
            "offsets into the caption; an image with several captions has a row for each"
        )


def _shard_name(part: Part) -> str:
    return f"data/{part.split or 'train'}-{max(part.shard, 0):05d}.parquet"


def image_rows(categories: Categories) -> pa.Schema:
    """The columns, with the types that `datasets` gives them in the metadata."""
    closed = categories.mode != "head"
    floats, texts = pa.list_(pa.float32()), pa.list_(pa.string())
    objects = pa.struct(
        [
            # x + width must be the float32 corner again
            ("bbox", pa.list_(pa.list_(pa.float64()))),
            ("category", pa.list_(pa.int64() if closed else pa.string())),
            ("phrase", texts),
            ("spans", pa.list_(pa.list_(pa.list_(pa.int64())))),
            ("score", floats),
            ("origin", texts),
        ]
    )
    schema = pa.schema(
        [
            ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
            ("width", pa.int32()),
            ("height", pa.int32()),
            ("caption", pa.string()),
            ("objects", objects),
            ("negatives", texts),
            ("record_id", pa.string()),
        ]
    )
    info = {"info": {"features": _features(categories)}}
    return schema.with_metadata({"huggingface": json.dumps(info)})


def _features(categories: Categories) -> dict[str, Any]:
    def value(dtype: str) -> dict[str, Any]:
        return {"dtype": dtype, "_type": "Value"}

    def listed(inner: dict[str, Any]) -> dict[str, Any]:
        return {"feature": inner, "_type": "Sequence"}

    closed = categories.mode != "head"
    label = {"names": categories.names, "_type": "ClassLabel"} if closed else value("string")
    return {
        "image": {"_type": "Image"},
        "width": value("int32"),
        "height": value("int32"),
        "caption": value("string"),
        "objects": {
            "bbox": listed(listed(value("float64"))),
            "category": listed(label),
            "phrase": listed(value("string")),
            "spans": listed(listed(listed(value("int64")))),
            "score": listed(value("float32")),
            "origin": listed(value("string")),
        },
        "negatives": listed(value("string")),
        "record_id": value("string"),
    }


class ImageFolderWriter(Writer):
    """`<split>/metadata.jsonl` beside the images: also AutoTrain's layout for object detection."""

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        if target.categories.mode == "object":
            target.categories.names[:] = ["object"]
        parts = [_unsharded(part) for part in target.parts]
        self._spools = PerPart(parts, self._open, lambda spool: spool[1].seal())

    def add(self, item: Item) -> bool:
        objects = objects_of(item, self, self.target.categories)
        if objects is None:
            return False
        record = item.record
        row = {
            "file_name": item.file_name.partition("/")[2],  # beside its metadata.jsonl
            "width": record.width,
            "height": record.height,
            "caption": record.caption,
            "captions": [record.caption],
            "objects": objects,
            "record_ids": [record.record_id],
            **caption_mark(record),
        }
        if self._spools.of(_unsharded(item.part))[1].add(item, row) is None:
            self.summary.left_out[OTHER_SIZE] += 1
            return False
        return True

    def finish(self) -> None:
        for name, spool in self._spools.all():
            path = self.target.publication.file(name)
            with path.open("w", encoding="utf-8", newline="\n") as out:
                out.writelines(line + "\n" for line in spool.lines())
        self.summary.notes.append(
            "load_dataset('imagefolder', data_dir=FOLDER) loads it; objects.bbox is xywh; an image "
            "has one row, whatever the number of its captions"
        )

    def _open(self, part: Part) -> tuple[str, ImageSpool]:
        name = f"{part.split or 'train'}/metadata.jsonl"
        path = self.target.publication.file(name)
        return name, ImageSpool(path.with_name("images.spool"))


def _unsharded(part: Part) -> Part:
    return Part(split=part.split)
