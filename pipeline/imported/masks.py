"""The masks of an imported file as the layer `masks` of its run."""

from __future__ import annotations

import time
from collections import Counter

import pyarrow as pa

from pipeline.gold.gold_set import GoldSet, Mask
from pipeline.layers.store import LayerRows, LayerStore
from pipeline.run.store import RunStore
from schemas.layer import KINDS, Layer
from schemas.records import Status

NO_MASK = "the imported file gives this box no mask"


def write_masks(gold: GoldSet, run: RunStore) -> int:
    """Write the layer for a run that was made of the gold set; the number of its masks.

    Done again it changes nothing.

    Raises:
        FingerprintMismatch: the run has such a layer, of another maker.
    """
    if not gold.masks:
        return 0
    kind, store = KINDS["masks"], LayerStore(run, "masks")
    columns = tuple(column.name for column in kind.columns)
    maker = {"gold": run.plan().config["content"]}
    store.define(
        Layer(name=kind.name, key=kind.key, columns=columns, run_plan=run.plan_id(), maker=maker)
    )
    masks = _of_links(gold)
    for source in store.pending():
        began = time.perf_counter()
        rows = [
            (box.box_id, masks[row.record_id][place] if row.record_id in masks else None)
            for file in source.files
            for row in run.read_rows(source, file)
            for place, box in enumerate(row.boxes)
        ]
        store.commit(source, _layer_rows(rows), {"read": time.perf_counter() - began})
    store.finalize()
    return sum(commit.status_counts.get(Status.OK, 0) for commit in store.commits().values())


def _of_links(gold: GoldSet) -> dict[str, list[Mask | None]]:
    """Sample -> a mask for each link of a box to a phrase, which is a box of the run."""
    return {
        sample.sample_id: [
            mask
            for mask, spans in zip(gold.masks[sample.sample_id], sample.spans, strict=True)
            for _ in spans
        ]
        for sample in gold.samples
        if sample.sample_id in gold.masks
    }


def _layer_rows(rows: list[tuple[str, Mask | None]]) -> LayerRows:
    statuses = [(Status.OK if mask else Status.RECORD_INVALID).value for _, mask in rows]
    values = {
        "box_id": [box_id for box_id, _ in rows],
        "status": statuses,
        "detail": ["" if mask else NO_MASK for _, mask in rows],
        "counts": [mask.counts if mask else None for _, mask in rows],
        "area": [mask.area if mask else None for _, mask in rows],
        "iou_score": [1.0 if mask else None for _, mask in rows],  # as scores: a person said so
    }
    schema = KINDS["masks"].schema()
    table = pa.Table.from_pydict(values, schema=schema)
    return LayerRows(table=table, statuses=Counter(statuses), examples={})
