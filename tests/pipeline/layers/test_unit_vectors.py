"""Vectors as they lie in a layer's file: the same numbers as its lists, and a file that says what
cannot be is read by its lists or refused."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.layers.nearest import _products, cosines_of, vector_of
from pipeline.layers.store import LayerRows, LayerStore
from pipeline.layers.unit_vectors import unit_vectors
from pipeline.run.store import RunStore
from pipeline.storage.files import read_bytes, write_bytes
from schemas.errors import ConfigError, DataError
from schemas.fingerprint import sha256_bytes
from schemas.plan import UnitCommit
from tests.pipeline.layers.runs import drawn_run
from tests.pipeline.layers.test_store import define

NAME = "embeddings"


def commit_values(
    store: LayerStore, source: UnitCommit, keys: Sequence[str], values: Sequence[object]
) -> None:
    """A unit of the layer; a row without a vector has another status."""
    statuses = ["image_missing" if value is None else "ok" for value in values]
    columns = [keys, statuses, [""] * len(keys), values]
    schema = store.kind.schema()
    arrays = [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)]
    table = pa.Table.from_arrays(arrays, schema=schema)
    store.commit(source, LayerRows(table=table, statuses={"ok": len(keys)}, examples={}), {})


def fill(run: RunStore, store: LayerStore, drawn: int, length: int = 3) -> None:
    """Vectors for all units that have none; the first row of each has no vector."""
    rng = np.random.default_rng(drawn)
    for source in store.pending():
        keys = [row.record_id for row in run.read_rows(source, source.files[0])]
        commit_values(store, source, keys, [None, *(rng.random(length) for _ in keys[1:])])


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


def test_vectors_are_mapped_and_not_decoded(run: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store = LayerStore(run, NAME)
    before = sorted(os.listdir(store.uri))
    decoded = all_cosines_by_lists(run)
    monkeypatch.setattr(LayerStore, "read", None)  # no list is read
    assert all_cosines(run) == pytest.approx(decoded, abs=1e-6)
    found = unit_vectors(store, next(iter(store.commits().values())))
    assert len(found.keys) == sum(map(len, found.parts)) > 0
    own = vector_of(run, NAME, found.keys[-1].as_py())
    assert own is not None
    assert own.tolist() == found.parts[-1][-1].tolist()
    assert vector_of(run, NAME, "nobody") is None
    assert sorted(os.listdir(store.uri)) == before, "a search writes nothing"


def all_cosines_by_lists(run: RunStore) -> dict[str, float]:
    store, found = LayerStore(run, NAME), {}
    for commit in store.commits().values():
        for row in store.read(commit).to_pylist():
            if row["vector"] is not None:
                own = np.array([row["vector"]], np.float32) @ np.array([0.6, 0.8, 0.0], np.float32)
                found[row["record_id"]] = float(own[0])
    return found


def test_bytes_from_a_store_are_used_likewise(
    run: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LayerStore(run, NAME)
    commit = next(iter(store.commits().values()))
    mapped = unit_vectors(store, commit)
    monkeypatch.setattr(store, "is_local", False)  # its files come as bytes, compared by hash
    monkeypatch.setattr(store, "read", None)
    fetched = unit_vectors(store, commit)
    assert fetched.keys.equals(mapped.keys)
    assert [part.tolist() for part in fetched.parts] == [part.tolist() for part in mapped.parts]


def written_anew(store: LayerStore, data: bytes) -> None:
    """Other bytes for the first unit, with a marker that vouches for them."""
    commit = next(iter(store.commits().values()))
    (file,) = commit.files
    file = replace(file, size=len(data), sha256=sha256_bytes(data))
    path = Path(store.uri) / "_commits" / f"{commit.unit_id}.json"
    write_bytes(store.url(file.path), data)
    path.write_text(replace(commit, files=(file,)).to_json())


@pytest.mark.parametrize("length", [b"0", b"-1", b"2", b"4", b"x", b"9" * 30, "\u0664".encode()])
def test_a_length_that_cannot_be_is_not_believed(run: RunStore, length: bytes) -> None:
    store, first = LayerStore(run, NAME), all_cosines(run)
    commit = next(iter(store.commits().values()))
    data = read_bytes(store.url(commit.files[0].path))
    table = pq.read_table(pa.BufferReader(data))
    sink = pa.BufferOutputStream()
    stamped = table.replace_schema_metadata({b"glipforge.vector_length": length})
    pq.write_table(stamped, sink, compression="none", use_dictionary=False)
    written_anew(store, sink.getvalue().to_pybytes())
    assert all_cosines(run) == pytest.approx(first, abs=1e-6)


def test_a_file_whose_footer_leads_out_of_it(run: RunStore) -> None:
    store = LayerStore(run, NAME)
    commit = next(iter(store.commits().values()))
    data = bytearray(read_bytes(store.url(commit.files[0].path)))
    rng = np.random.default_rng(4)
    footer = int.from_bytes(data[-8:-4], "little") + 8
    for _ in range(40):
        torn = data.copy()
        for place in rng.integers(len(data) - footer, len(data) - 8, size=3):
            torn[place] = int(rng.integers(256))
        written_anew(store, bytes(torn))
        try:
            all_cosines(RunStore(run.uri))
        except (DataError, ConfigError):
            continue


def test_an_older_file_is_decoded(run: RunStore) -> None:
    store, first = LayerStore(run, NAME), all_cosines(run)
    commit = next(iter(store.commits().values()))
    table = pq.read_table(pa.BufferReader(read_bytes(store.url(commit.files[0].path))))
    sink = pa.BufferOutputStream()
    meta = {k: v for k, v in table.schema.metadata.items() if k != b"glipforge.vector_length"}
    pq.write_table(table.replace_schema_metadata(meta), sink, compression="zstd")
    written_anew(store, sink.getvalue().to_pybytes())
    assert all_cosines(run) == pytest.approx(first, abs=1e-6)


def test_a_file_that_is_cut_short_or_gone_is_named(run: RunStore) -> None:
    store = LayerStore(run, NAME)
    path = Path(store.url(next(iter(store.commits().values())).files[0].path))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"embeddings/.*parquet is missing or is not the file"):
        all_cosines(run)
    path.unlink()
    os.mkfifo(path)  # nobody ever writes to it
    with pytest.raises(ConfigError, match="is a named pipe, not a file"):
        all_cosines(run)
    path.unlink()
    with pytest.raises(DataError, match="is missing or is not the file"):
        all_cosines(run)


@pytest.mark.parametrize(
    "values, said",
    [
        ([[1.0, 0.0], [1.0]], "holds vectors of 1 and of 2 numbers; run `glipforge enrich"),
        ([[1.0, None, 0.0], [1.0] * 3], "holds vectors with missing numbers; run `glipforge enr"),
    ],
)
def test_vectors_that_no_model_makes(run: RunStore, values: list[object], said: str) -> None:
    store = LayerStore(run, NAME)
    store.withdraw([next(iter(store.commits().values()))])
    (source,) = store.pending()
    commit_values(store, source, ["a", "b"], values)
    with pytest.raises(DataError, match=said):
        all_cosines(run)


def test_vectors_of_another_model_are_named(run: RunStore) -> None:
    with pytest.raises(ConfigError, match="vectors of 3 numbers, the model gives 2"):
        list(cosines_of(run, NAME, np.array([1.0, 0.0], np.float32)))


def test_vectors_that_are_not_finite_are_left_out(run: RunStore) -> None:
    store = LayerStore(run, NAME)
    store.withdraw(list(store.commits().values())[:1])
    (source,) = store.pending()
    commit_values(store, source, ["a", "b"], [[1.0, 0.0, 0.0], [float("nan"), 0.0, 0.0]])
    assert len(unit_vectors(store, store.commits()[source.unit_id]).keys) == 2
    found = all_cosines(run)
    assert "a" in found
    assert "b" not in found


@pytest.mark.parametrize("length", [1, 3, 512, 2**17, 2**17 + 1])
def test_products_of_numbers_at_odd_addresses(length: int) -> None:
    rng = np.random.default_rng(length)
    rows = 3 if length > 2**16 else 700
    drawn = rng.standard_normal((rows, length), np.float32)
    vector = rng.standard_normal(length, np.float32)
    odd = np.frombuffer(b"x" + drawn.tobytes(), np.float32, offset=1).reshape(rows, length)
    assert not odd.flags.aligned
    expected = drawn.astype(np.float64) @ vector.astype(np.float64)
    for vectors in (drawn, odd):
        assert _products(vectors, vector) == pytest.approx(expected, abs=1e-3 * length**0.5)
    assert _products(drawn[:0], vector).shape == (0,)
