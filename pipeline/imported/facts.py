"""What an imported file says beside its boxes, as the layer `gold_facts` of its run."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import pyarrow as pa

from pipeline.gold.checks import CROWD
from pipeline.gold.formats.open_images import GROUP
from pipeline.gold.formats.voc import DIFFICULT
from pipeline.gold.gold_set import Crowd, GoldSet, ImageFacts
from pipeline.layers.store import LayerRows, LayerStore
from pipeline.run.store import RunStore
from schemas.fingerprint import fingerprint
from schemas.layer import KINDS, Layer
from schemas.records import Status

KEPT = "kept as regions to ignore"
NOTHING = ImageFacts()


def facts_of(gold: GoldSet) -> dict[str, ImageFacts]:
    """Sample -> what the file says of its image, where it says anything."""
    found = {sample_id: facts for sample_id, facts in gold.facts.items() if facts != NOTHING}
    for sample_id, regions in gold.ignored.items():
        crowds = tuple(
            Crowd(xyxy=box.xyxy, category=gold.categories[box.category], mask=box.mask)
            for box in regions
        )
        found[sample_id] = replace(found.get(sample_id, NOTHING), crowds=crowds)
    return found


def told_counts(gold: GoldSet) -> dict[str, int]:
    """The counts of the set; what its readers drop as boxes and the layer keeps is kept."""
    keys = {f"dropped: {reason}": f"{KEPT}: {reason}" for reason in (CROWD, GROUP, DIFFICULT)}
    return {keys.get(key, key): number for key, number in gold.counts.items()}


def write_facts(gold: GoldSet, run: RunStore) -> None:
    """Write the layer for a run that was made of the gold set, if there is anything to say.

    Done again it changes nothing.

    Raises:
        FingerprintMismatch: the run has such a layer, of another file.
    """
    facts = facts_of(gold)
    if not facts:
        return
    kind, store = KINDS["gold_facts"], LayerStore(run, "gold_facts")
    columns = tuple(column.name for column in kind.columns)
    content = fingerprint([[name, asdict(facts[name])] for name in sorted(facts)])
    store.define(
        Layer(
            name=kind.name,
            key=kind.key,
            columns=columns,
            run_plan=run.plan_id(),
            maker={"gold": content},
        )
    )
    for source in store.pending():
        began = time.perf_counter()
        ids = [row.record_id for file in source.files for row in run.read_rows(source, file)]
        rows = _layer_rows(ids, facts)
        store.commit(source, rows, {"read": time.perf_counter() - began})
    store.finalize()


def _layer_rows(ids: list[str], facts: Mapping[str, ImageFacts]) -> LayerRows:
    rows = [{"record_id": name} | _row(facts.get(name, NOTHING)) for name in ids]
    table = pa.Table.from_pylist(rows, schema=KINDS["gold_facts"].schema())
    return LayerRows(table=table, statuses=Counter({Status.OK.value: len(ids)}), examples={})


def _row(facts: ImageFacts) -> dict[str, Any]:
    return {
        "status": Status.OK.value,
        "detail": "",
        "license": facts.license,
        "license_url": facts.license_url,
        "coco_url": facts.coco_url,
        "flickr_url": facts.flickr_url,
        "crowds": [_crowd(crowd) for crowd in facts.crowds],
    }


def _crowd(crowd: Crowd) -> dict[str, Any]:
    edges = dict(zip(("x1", "y1", "x2", "y2"), crowd.xyxy, strict=True))
    counts, area = (crowd.mask.counts, crowd.mask.area) if crowd.mask else (None, None)
    return {**edges, "category": crowd.category, "counts": counts, "area": area}
