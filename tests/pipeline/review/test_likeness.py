"""Sorting a view by what looks like a box or an image."""

from __future__ import annotations

import pyarrow as pa
import pytest

from pipeline.layers.store import LayerRows
from pipeline.review.sync.label.documents import sample_object_id
from schemas.layer import KINDS
from tests.pipeline.layers.test_store import define
from tests.pipeline.review.app.test_plugin import execute, selected
from tests.pipeline.review.bench import Bench
from tests.pipeline.trust.test_duplicates import hashed

pytestmark = [pytest.mark.slow, pytest.mark.fiftyone]

VECTORS = {
    "embeddings": {"toy/0": [1.0, 0.0], "toy/1": [0.0, 1.0], "toy/2": [0.6, 0.8]},
    "region_embeddings": {
        "toy/0#0": [1.0, 0.0],
        "toy/0#1": [0.0, 1.0],
        "toy/1#0": [0.6, 0.8],
        "toy/1#2": [0.0, -1.0],
        "toy/2#1": [0.8, 0.6],
    },
}


def enrich(bench: Bench) -> None:
    for name, vectors in VECTORS.items():
        store, kind = define(bench.run, name), KINDS[name]
        for source in store.pending():
            rows = bench.run.read_rows(source, source.files[0])
            keys = [row.record_id for row in rows]
            if name == "region_embeddings":
                keys = [box.box_id for row in rows for box in row.boxes]
            columns = [keys, ["ok"] * len(keys), [""] * len(keys), [vectors.get(k) for k in keys]]
            schema = kind.schema()
            arrays = [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)]
            table = pa.Table.from_arrays(arrays, schema=schema)
            store.commit(source, LayerRows(table=table, statuses={}, examples={}), {})
    dataset = bench.dataset
    dataset.info = {"run": bench.run.uri}
    dataset.save()


def ids(*numbers: int) -> list[str]:
    return [str(sample_object_id(f"toy/{number}")) for number in numbers]


def test_images_and_boxes_are_ordered_by_cosine_and_the_view_follows(bench: Bench) -> None:
    bench.push()
    enrich(bench)
    found = execute(bench, "sort_by_likeness", current_sample=ids(0)[0])
    assert found.result["samples"] == ids(0, 2, 1)
    assert found.result["cosines"] == pytest.approx([1.0, 0.6, 0.0])
    requests = found.executor.to_json()["requests"]
    assert any("set_view" in request["operator_uri"] for request in requests)
    found = execute(bench, "sort_by_likeness", selected_labels=selected("toy/0#0"))
    assert found.result["samples"] == ids(0, 2, 1)
    assert found.result["cosines"] == pytest.approx([1.0, 0.8, 0.6])
    found = execute(bench, "sort_by_likeness", params={"box_id": "toy/1#2", "limit": 1})
    assert found.result["samples"] == ids(1)


def test_what_is_missing_is_said(bench: Bench) -> None:
    bench.push()
    assert "select a box or open" in execute(bench, "sort_by_likeness").result["refused"]
    dataset = bench.dataset
    dataset.info = {"run": bench.run.uri}
    dataset.save()
    refused = execute(bench, "sort_by_likeness", current_sample=ids(0)[0]).result["refused"]
    assert "embeddings" in refused
    enrich(bench)
    params = {"box_id": "toy/0#2"}
    refused = execute(bench, "sort_by_likeness", params=params).result["refused"]
    assert "has no vector of 'toy/0#2'" in refused


def test_duplicates_stand_side_by_side(bench: Bench) -> None:
    bench.push()
    dataset = bench.dataset
    dataset.info = {"run": bench.run.uri}
    dataset.save()
    assert "duplicates" in execute(bench, "show_duplicates").result["refused"]
    looks = {"toy/0": "0123456789abcdef" * 2, "toy/2": "0123456789abcdee" * 2}
    hashed(bench.run, {key: (key, look) for key, look in looks.items()})
    found = execute(bench, "show_duplicates")
    assert found.result == {"groups": [ids(0, 2)]}
    requests = found.executor.to_json()["requests"]
    assert any("set_view" in request["operator_uri"] for request in requests)
    assert execute(bench, "show_duplicates", params={"distance": 0}).result == {"groups": []}
