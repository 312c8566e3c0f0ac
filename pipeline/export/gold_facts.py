"""What imported data says beside its boxes, on its way out: licences, and regions to ignore."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

from pipeline.gold.gold_set import Crowd, ImageFacts, Mask
from pipeline.layers.store import LayerStore
from pipeline.run.store import RunStore
from schemas.boxes import pairwise_iou
from schemas.records import CuratedRecord

LAYER = "gold_facts"
NOTHING = ImageFacts()
SAME_IOU = 0.5
"""Regions of one category that overlap by so much are one."""
OTHER_STATED = "licence or address that another run states otherwise: the first run's stays"


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownRecord(CuratedRecord):
    """A record with what its gold file says of the image: it keeps it wherever it goes."""

    facts: ImageFacts


def facts_of(record: CuratedRecord) -> ImageFacts:
    """What is said of the image of a record."""
    return record.facts if isinstance(record, KnownRecord) else NOTHING


def with_facts(record: CuratedRecord, facts: ImageFacts) -> CuratedRecord:
    """The record with these facts, in place of its own."""
    if facts == facts_of(record):
        return record
    own = {field.name: getattr(record, field.name) for field in fields(CuratedRecord)}
    return KnownRecord(**own, facts=facts)


def joined_facts(first: ImageFacts, other: ImageFacts, counts: Counter[str]) -> ImageFacts:
    """What two runs say of one image: of each licence and address the first that is stated, and
    the regions of both, each once. What is stated twice and differs is counted."""
    if other == NOTHING or first == other:
        return first
    stated: dict[str, str] = {}
    for group in (("license", "license_url"), ("coco_url",), ("flickr_url",)):
        own, theirs = ([getattr(facts, name) for name in group] for facts in (first, other))
        stated |= zip(group, own if any(own) else theirs, strict=True)
        counts[OTHER_STATED] += any(own) and any(theirs) and own != theirs
    crowds = list(first.crowds)
    for crowd in other.crowds:
        rivals = [one.xyxy for one in first.crowds if one.category == crowd.category]
        if not rivals or not (pairwise_iou([crowd.xyxy], rivals) >= SAME_IOU).any():
            crowds.append(crowd)
    return replace(first, crowds=tuple(crowds), **stated)


class UnitFacts:
    """The layer of a run, read unit by unit.

    Raises:
        ConfigError: its import did not write all of it.
    """

    def __init__(self, run: RunStore) -> None:
        self._store = LayerStore(run, LAYER)
        self._store.require_whole()
        self._commits = self._store.commits()

    def of(self, unit_id: str) -> Callable[[CuratedRecord], CuratedRecord]:
        """Gives the unit's records their facts."""
        table = self._store.read(self._commits[unit_id])
        known = {row["record_id"]: _facts(row) for row in table.to_pylist()}
        return lambda record: with_facts(record, known.get(record.record_id, NOTHING))


def _facts(row: dict[str, Any]) -> ImageFacts:
    names = ("license", "license_url", "coco_url", "flickr_url")
    crowds = tuple(
        Crowd(
            xyxy=(one["x1"], one["y1"], one["x2"], one["y2"]),
            category=one["category"],
            mask=None if one["counts"] is None else Mask(counts=one["counts"], area=one["area"]),
        )
        for one in row["crowds"] or ()
    )
    return ImageFacts(crowds=crowds, **{name: row[name] or "" for name in names})
