"""LVIS-style JSON: federated labels, where only listed categories are known to be absent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from pipeline.curation.phrase_rules import phrase_head
from pipeline.export.checked_output import (
    ExportBorder,
    ExportOptions,
    ExportSummary,
    published,
    short_float,
    short_xywh,
)
from pipeline.export.coco import HeadCategories
from pipeline.export.coco_writer import CocoWriter
from schemas.records import CuratedRecord

# LVIS's own bounds: categories in at most 10 images are rare, in at most 100 common.
_RARE, _COMMON = 10, 100


def export_lvis(
    records: Iterable[CuratedRecord], path: str, options: ExportOptions
) -> ExportSummary:
    """One image entry per pair. A caption does not promise to name everything, so every category
    that is present is also listed as not exhaustive; recorded negatives are the known absences.

    Raises:
        DataError: a record breaks the contract.
    """
    summary = ExportSummary(format="lvis", paths=[path])
    border = ExportBorder(summary, options)
    categories = HeadCategories("head")
    image_counts: Counter[int] = Counter()
    instance_counts: Counter[int] = Counter()
    with published(path) as staged:
        writer = CocoWriter(staged, info={"description": "glipforge LVIS-style export"})
        for record in records:
            if not border.accept(record):
                continue
            of_box = [categories.of_box(record, box) for box in record.boxes]
            image_counts.update(set(of_box))
            instance_counts.update(of_box)
            image_id = writer.image(_image_entry(record, border, categories, sorted(set(of_box))))
            for box, category in zip(record.boxes, of_box, strict=True):
                bbox = short_xywh(box)
                writer.annotation(
                    {
                        "image_id": image_id,
                        "category_id": category,
                        "bbox": bbox,
                        "area": short_float(bbox[2] * bbox[3]),
                        "segmentation": [],
                        "score": short_float(box.score),
                    }
                )
        writer.finish(
            [
                {
                    "id": category,
                    "name": name,
                    "synset": "",
                    "synonyms": [name],
                    "def": "",
                    "frequency": _frequency(image_counts[category]),
                    "image_count": image_counts[category],
                    "instance_count": instance_counts[category],
                }
                for name, category in categories.ids.items()
            ]
        )
    summary.notes.append("boxes only: segmentation is empty; synset and def are not known")
    return summary


def _image_entry(
    record: CuratedRecord, border: ExportBorder, categories: HeadCategories, present: list[int]
) -> dict[str, Any]:
    absent = {categories.of_head(phrase_head(p)) for p in border.negatives(record)}
    file_name = border.file_name(record)
    return {
        "file_name": file_name,
        "coco_url": file_name,
        "flickr_url": "",
        "height": record.height,
        "width": record.width,
        "neg_category_ids": sorted(absent - set(present)),
        "not_exhaustive_category_ids": present,
        "caption": record.caption,
        "record_id": record.record_id,
    }


def _frequency(image_count: int) -> str:
    return "r" if image_count <= _RARE else "c" if image_count <= _COMMON else "f"
