"""How much is in records."""

from __future__ import annotations

from schemas.records import CuratedRecord

NUM_IMAGES = 8


def box_count(records: list[CuratedRecord]) -> int:
    return sum(len(record.boxes) for record in records)


def link_count(records: list[CuratedRecord]) -> int:
    return sum(len(box.phrase_indices) for record in records for box in record.boxes)
