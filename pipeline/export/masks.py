"""Masks of a layer beside the boxes that are exported: COCO's compressed run lengths."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pipeline.curation.curate import find_curated, iter_curated_files, read_curated_file
from pipeline.layers.columns import require_columns
from pipeline.layers.store import LayerStore
from pipeline.run.store import RunStore
from schemas.records import CuratedBox, CuratedRecord

NOBODY_TOUCHED = ("teacher", "gold")
"""Origins of boxes that are as the layer knows them."""


@dataclass(kw_only=True)
class BoxMasks:
    """The masks of the unit that is exported just now; memory stays flat.

    counts: box_id -> run lengths and area.
    without: boxes that were exported without a mask.
    """

    counts: dict[str, tuple[str, int]] = field(default_factory=dict)
    without: int = 0

    def of(self, box: CuratedBox, height: int, width: int) -> dict[str, Any]:
        """`segmentation` and `area` of a COCO annotation; empty where the box has no mask.

        A box that a person moved or drew has none: the layer's mask is of another box.
        """
        found = self.counts.get(box.box_id) if box.origin in NOBODY_TOUCHED else None
        if found is None:
            self.without += 1
            return {}
        counts, area = found
        return {"segmentation": {"size": [height, width], "counts": counts}, "area": area}

    def stream(self, run: RunStore, policy: str) -> Iterator[CuratedRecord]:
        """As `iter_curated`; the masks of a record's boxes are here while it is the last one."""
        policy_id = find_curated(run, policy)
        store = LayerStore(run, "masks")
        commits = store.commits()
        for file in iter_curated_files(run, policy_id):
            unit_id = file.name.rpartition("-")[0]
            table = store.read(commits[unit_id], ["box_id", "counts", "area"])
            self.counts = {
                row["box_id"]: (row["counts"], row["area"])
                for row in table.to_pylist()
                if row["counts"] is not None
            }
            yield from read_curated_file(run, policy_id, file)


def require_masks(run: RunStore) -> None:
    """Refuse an export with masks of a run without them.

    Raises:
        ConfigError: the layer is missing or lacks units.
    """
    require_columns(run, ["masks.area"])
