"""Masks of a layer beside the boxes that are exported: COCO's compressed run lengths."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

from pipeline.layers.store import LayerStore
from pipeline.run.store import RunStore
from schemas.records import CuratedBox, CuratedRecord

NOBODY_TOUCHED = ("teacher", "gold")
"""Origins of boxes that are as the layer knows them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskedBox(CuratedBox):
    """A box with its mask: it keeps it under another id, in a joined pair, and on the disk."""

    counts: str
    """COCO's compressed run lengths of the whole image."""
    area: int
    """Pixels of the mask."""


@dataclass(kw_only=True)
class BoxMasks:
    """Puts the masks of runs on their boxes, and counts boxes that were written without one."""

    touched: int = 0
    """Of boxes that people moved or drew: the layer's mask is of another box."""
    unknown: int = 0
    """Of boxes for which the layer has none."""

    def of(self, box: CuratedBox, height: int, width: int) -> dict[str, Any]:
        """`segmentation` and `area` of a COCO annotation; empty where the box has no mask."""
        if isinstance(box, MaskedBox):
            size = [height, width]
            return {"segmentation": {"size": size, "counts": box.counts}, "area": box.area}
        if box.origin in NOBODY_TOUCHED:
            self.unknown += 1
        else:
            self.touched += 1
        return {}

    def note(self) -> str:
        """Which boxes were written without a mask, and why; nothing where each has one."""
        reasons = []
        if self.touched:
            reasons.append(f"people moved or drew {self.touched:,}")
        if self.unknown:
            reasons.append(f"the layer `masks` has none for {self.unknown:,}")
        total = self.touched + self.unknown
        return f"{total:,} boxes have no mask: {', '.join(reasons)}" if total else ""


class UnitMasks:
    """The masks of a run, read unit by unit."""

    def __init__(self, run: RunStore) -> None:
        self._store = LayerStore(run, "masks")
        self._commits = self._store.commits()

    def of(self, unit_id: str) -> Callable[[CuratedRecord], CuratedRecord]:
        """Gives the boxes of the unit's records their masks."""
        table = self._store.read(self._commits[unit_id], ["box_id", "counts", "area"])
        known = {
            row["box_id"]: (row["counts"], row["area"])
            for row in table.to_pylist()
            if row["counts"] is not None
        }
        return lambda record: replace(
            record, boxes=tuple(_masked(box, known) for box in record.boxes)
        )


def _masked(box: CuratedBox, known: dict[str, tuple[str, int]]) -> CuratedBox:
    mask = known.get(box.box_id) if box.origin in NOBODY_TOUCHED else None
    if mask is None:
        return box
    own = {field.name: getattr(box, field.name) for field in fields(box)}
    return MaskedBox(**own, counts=mask[0], area=mask[1])


def require_masks(run: RunStore) -> None:
    """Refuse an export with masks of a run without them.

    Raises:
        ConfigError: the layer is missing or lacks units.
    """
    LayerStore(run, "masks").require_whole()
