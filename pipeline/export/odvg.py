"""ODVG grounding rows (Open-GroundingDino, MMDetection, TAO): JSON lines, boxes xyxy."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from pipeline.export.checked_output import (
    ExportBorder,
    ExportOptions,
    ExportSummary,
    published,
    short_float,
    short_xyxy,
)
from schemas.records import CuratedRecord


def export_odvg(
    records: Iterable[CuratedRecord], path: str, options: ExportOptions
) -> ExportSummary:
    """One row per pair; one region per phrase occurrence, with all of its boxes.

    A box that carries several phrases stands in the region of each.

    Raises:
        DataError: a record breaks the contract.
    """
    summary = ExportSummary(format="odvg", paths=[path])
    border = ExportBorder(summary, options)
    with published(path) as staged, staged.open("w", encoding="utf-8", newline="\n") as stream:
        for record in records:
            if border.accept(record):
                row = {
                    "filename": border.file_name(record),
                    "height": record.height,
                    "width": record.width,
                    "record_id": record.record_id,
                    "grounding": {"caption": record.caption, "regions": _regions(record)},
                }
                stream.write(json.dumps(row, separators=(",", ":"), ensure_ascii=False) + "\n")
    summary.notes.append(
        "grounding rows: give the loader no label map, or it takes the file for detection (and "
        "takes a detection file without one for grounding); boxes are xyxy"
    )
    return summary


def _regions(record: CuratedRecord) -> list[dict[str, Any]]:
    regions = []
    for index, phrase in enumerate(record.phrases):
        boxes = [box for box in record.boxes if index in box.phrase_indices]
        if not boxes:
            continue
        corners = [short_xyxy(box) for box in boxes]
        scores = [short_float(box.score) for box in boxes]
        regions.append(
            {
                "phrase": phrase.text,
                "bbox": corners[0] if len(corners) == 1 else corners,
                "tokens_positive": [[phrase.start, phrase.end]],
                "score": scores[0] if len(scores) == 1 else scores,
            }
        )
    return regions
