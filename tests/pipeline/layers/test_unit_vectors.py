"""The copy of a layer's vectors: the same numbers, never of another file, never needed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipeline.layers.nearest import cosines_of, vector_of
from pipeline.layers.store import LayerRows, LayerStore
from pipeline.layers.unit_vectors import FOLDER, unit_vectors
from pipeline.run.store import RunStore
from schemas.errors import DataError
from schemas.plan import UnitCommit
from tests.pipeline.layers.runs import drawn_run
from tests.pipeline.layers.test_store import define

NAME = "embeddings"


def fill(run: RunStore, store: LayerStore, drawn: int, length: int = 3) -> None:
    """Vectors for all units that have none; the last row of each has no vector."""
    rng = np.random.default_rng(drawn)
    for source in store.pending():
        keys = [row.record_id for row in run.read_rows(source, source.files[0])]
        values: list[object] = [rng.random(length).tolist() for _ in keys[:-1]]
        columns = [keys, ["ok"] * len(keys), [""] * len(keys), [*values, None]]
        schema = store.kind.schema()
        arrays = [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)]
        table = pa.Table.from_arrays(arrays, schema=schema)
        store.commit(source, LayerRows(table=table, statuses={"ok": len(keys)}, examples={}), {})


def commit_values(store: LayerStore, source: UnitCommit, values: list[list[float]]) -> None:
    """A unit of the layer with the keys a, b, ..."""
    keys = [chr(ord("a") + n) for n in range(len(values))]
    columns = [keys, ["ok"] * len(keys), [""] * len(keys), values]
    schema = store.kind.schema()
    arrays = [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)]
    table = pa.Table.from_arrays(arrays, schema=schema)
    store.commit(source, LayerRows(table=table, statuses={"ok": len(keys)}, examples={}), {})


def copies(store: LayerStore) -> list[Path]:
    return sorted((Path(store.uri) / FOLDER).glob("*"))


@pytest.fixture
def run(tmp_path: Path) -> RunStore:
    run = drawn_run(tmp_path)
    fill(run, define(run, NAME), 0)
    return run


def all_cosines(run: RunStore) -> dict[str, float]:
    vector = np.array([0.6, 0.8, 0.0], np.float32)
    return {
        key: cosine
        for unit in cosines_of(run, NAME, vector)
        for key, cosine in zip(unit.keys.to_pylist(), unit.cosines.tolist(), strict=True)
    }


def test_a_copy_gives_the_same_numbers(run: RunStore) -> None:
    store = LayerStore(run, NAME)
    first = all_cosines(run)
    assert first
    assert len(copies(store)) == len(run.commits())
    commit = next(iter(store.commits().values()))
    (Path(store.uri) / commit.files[0].path).unlink()  # only the copy is read
    assert all_cosines(run) == first
    found = unit_vectors(store, commit)
    assert vector_of(run, NAME, found.keys[0].as_py()).tolist() == found.vectors[0].tolist()  # type: ignore[union-attr]


@pytest.mark.parametrize("damage", [b"", b"ARROW1\0\0", None])
def test_a_torn_copy_is_made_again(run: RunStore, damage: bytes | None) -> None:
    store, first = LayerStore(run, NAME), all_cosines(run)
    path = copies(store)[0]
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    assert all_cosines(run) == first
    assert copies(store)[0].read_bytes() == whole


NUMBERS = pa.array([0.5] * 6, pa.float32())
THREE = pa.FixedSizeListArray.from_arrays(NUMBERS, 3)


@pytest.mark.parametrize(
    ("keys", "vectors"),
    [
        (pa.array(["a", "b"]), pa.array(["x", "y"])),
        (pa.array([1, 2]), THREE),
        (pa.array([None, "b"]), THREE),
        (pa.array(["a", "b"]).dictionary_encode(), THREE),
        (pa.array(["a", "b"]), THREE.cast(pa.list_(pa.float64(), 3))),
        (pa.array(["a", "b"]), pa.array([[0.5] * 6, []], pa.list_(pa.float32()))),
        (pa.array(["a", "b"]), pa.array([None, [0.5] * 3], pa.list_(pa.float32(), 3))),
        (pa.array(["a", "b"]), pa.array([[0.5, None, 0.5]] * 2, pa.list_(pa.float32(), 3))),
    ],
)
def test_a_copy_of_other_columns_is_made_again(
    run: RunStore, keys: pa.Array, vectors: pa.Array
) -> None:
    store, first = LayerStore(run, NAME), all_cosines(run)
    path = copies(store)[0]
    whole = path.read_bytes()
    table = pa.table({"key": keys, "vector": vectors})
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    assert all_cosines(run) == first
    assert path.read_bytes() == whole


def test_a_copy_whose_offsets_lead_out_of_it_is_made_again(run: RunStore) -> None:
    store, first = LayerStore(run, NAME), all_cosines(run)
    path = copies(store)[0]
    whole = path.read_bytes()
    good, bad = (np.array(offsets, np.int32).tobytes() for offsets in ([0, 5, 10], [0, 5, 2**30]))
    assert whole.count(good) == 1
    path.write_bytes(whole.replace(good, bad))
    assert all_cosines(run) == first
    assert path.read_bytes() == whole


def test_a_pipe_in_place_of_a_copy_is_not_waited_for(run: RunStore) -> None:
    store, first = LayerStore(run, NAME), all_cosines(run)
    path = copies(store)[0]
    path.unlink()
    os.mkfifo(path)
    assert all_cosines(run) == first
    assert path.is_file()


def test_a_copy_of_another_file_is_not_taken(run: RunStore) -> None:
    store, first = LayerStore(run, NAME), all_cosines(run)
    before = copies(store)
    store.withdraw(store.commits().values())
    fill(run, store, 1)
    second = all_cosines(run)
    assert second.keys() == first.keys()
    assert second != first
    assert len(copies(store)) == len(before)
    assert not set(copies(store)) & set(before)


def test_where_no_copy_can_be_written(run: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store = LayerStore(run, NAME)
    (Path(store.uri) / FOLDER).write_bytes(b"a file is in the way")
    first = all_cosines(run)
    assert first == all_cosines(run)
    (Path(store.uri) / FOLDER).unlink()
    usage = shutil.disk_usage(store.uri)._replace(free=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    assert all_cosines(run) == first
    assert not copies(store)


def test_vectors_of_two_lengths(run: RunStore) -> None:
    store = LayerStore(run, NAME)
    commit = next(iter(store.commits().values()))
    store.withdraw([commit])
    (source,) = store.pending()
    commit_values(store, source, [[1.0, 0.0], [1.0]])
    with pytest.raises(DataError, match=r"holds vectors of 1 and of 2 numbers; run `glipforge enr"):
        all_cosines(run)


def test_vectors_that_are_not_finite_are_left_out(run: RunStore) -> None:
    store = LayerStore(run, NAME)
    store.withdraw(list(store.commits().values())[:1])
    (source,) = store.pending()
    commit_values(store, source, [[1.0, 0.0, 0.0], [float("nan"), 0.0, 0.0]])
    found = all_cosines(run)
    assert "a" in found
    assert "b" not in found
