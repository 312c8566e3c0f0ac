"""The nearest vectors of a layer first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipeline.layers.store import LayerRows
from pipeline.run.store import RunStore
from pipeline.search.database import local_files
from pipeline.search.likeness import IMAGES, REGIONS, search_like, stored_vector
from schemas.errors import ConfigError
from schemas.layer import KINDS
from tests.pipeline.layers.runs import drawn_run
from tests.pipeline.layers.test_store import define


def vector(number: int) -> list[float]:
    """Those of near numbers are near."""
    angle = number / 10
    return [float(np.cos(angle)), float(np.sin(angle)), 0.0]


@pytest.fixture
def run(tmp_path: Path) -> RunStore:
    run = drawn_run(tmp_path)
    for name in (IMAGES, REGIONS):
        store, kind = define(run, name), KINDS[name]
        for source in store.pending():
            rows = run.read_rows(source, source.files[0])
            keys = [
                key
                for row in rows
                for key in (
                    [row.record_id] if name == IMAGES else [box.box_id for box in row.boxes]
                )
            ]
            values = [vector(int(key.rpartition("/")[2].split("#")[0])) for key in keys]
            if name == IMAGES and source.unit_id == "u0":
                values[0] = None  # type: ignore[call-overload]
            columns = [keys, ["ok"] * len(keys), [""] * len(keys), values]
            schema = kind.schema()
            arrays = [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)]
            table = pa.Table.from_arrays(arrays, schema=schema)
            store.commit(
                source, LayerRows(table=table, statuses={"ok": len(keys)}, examples={}), {}
            )
    return run


def test_pairs_by_a_vector(run: RunStore) -> None:
    with local_files(run) as files:
        found = search_like(run, IMAGES, np.array(vector(3), np.float32), files=files, limit=3)
    assert found.hits[0].row.record_id == "toy/3"
    assert {hit.row.record_id for hit in found.hits} == {"toy/2", "toy/3", "toy/4"}
    assert found.hits[0].score == pytest.approx(1.0)
    assert found.pairs == 5, "the one without a vector cannot be found"


def test_boxes_by_a_box(run: RunStore) -> None:
    layer, own = stored_vector(run, "toy/2#1")  # type: ignore[misc]
    assert layer == REGIONS
    within = {"toy/1", "toy/2"}
    with local_files(run) as files:
        found = search_like(run, layer, own, files=files, min_score=0.85, limit=2, within=within)
    assert [hit.box_ids for hit in found.hits] == [("toy/2#0",), ("toy/1#0",)]
    assert found.hits[0].row.phrases[found.hits[0].phrase_index].text == "a red box"


def test_what_cannot_be_compared(run: RunStore) -> None:
    assert stored_vector(run, "nobody") is None
    assert stored_vector(run, "toy/2#9") is None
    with pytest.raises(ConfigError, match="has no vector of 'toy/0'"):
        stored_vector(run, "toy/0")
    with pytest.raises(ConfigError, match="holds vectors of 3 numbers, the model gives 2"):
        search_like(run, IMAGES, np.zeros(2, np.float32), files={})


def test_ties_at_the_cut_are_settled_by_id(run: RunStore) -> None:
    with local_files(run) as files:
        found = search_like(run, IMAGES, np.array([0, 0, 1], np.float32), files=files, limit=2)
    assert [hit.row.record_id for hit in found.hits] == ["toy/1", "toy/2"]
    assert (found.pairs, found.phrases) == (5, 5)
