"""The file of a layer: vectors lie plainly in it, and it stays Parquet that anybody reads."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.layers import vector_file
from pipeline.layers.vector_file import LENGTH, layer_file, stored_vectors
from pipeline.storage.parquet_bytes import table_of
from schemas.layer import KINDS

KIND = KINDS["embeddings"]


def table(values: list[object], statuses: list[str] | None = None) -> pa.Table:
    keys = [f"é/{n}" for n in range(len(values))]
    statuses = statuses or ["ok" if value is not None else "image_missing" for value in values]
    columns = [keys, statuses, [""] * len(values), values]
    schema = KIND.schema()
    arrays = [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


@pytest.mark.parametrize("length", [1, 3, 512])
@pytest.mark.parametrize("rows", [1, 2, 1_500])
@pytest.mark.parametrize("group", [1, 7, 16_384])
def test_the_numbers_lie_as_they_are(
    length: int, rows: int, group: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if group == 1 and rows > 100:
        rows = 20
    monkeypatch.setattr(vector_file, "ROWS_PER_GROUP", group)
    drawn = np.random.default_rng(rows).standard_normal((rows, length), np.float32)
    values: list[object] = list(drawn)
    values[rows // 2 : rows // 2] = [None, None]
    given = table(values)
    data = layer_file(given)
    found = stored_vectors(pa.BufferReader(data))
    assert found is not None
    keys, parts = found
    assert np.concatenate(parts).tobytes() == drawn.tobytes()
    has = given.column("vector").is_valid()
    assert keys.to_pylist() == given.column(0).filter(has).to_pylist()
    assert table_of(data) == given
    assert table_of(data).schema == KIND.schema()


def test_a_group_holds_no_more_than_a_page_can(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_file, "PAGE_BYTES", 64)
    data = layer_file(table([[float(n)] * 8 for n in range(7)]))
    assert pq.ParquetFile(pa.BufferReader(data)).num_row_groups == 4
    found = stored_vectors(pa.BufferReader(data))
    assert found is not None
    assert [len(part) for part in found[1]] == [2, 2, 2, 1]


NAN = float("nan")


def test_impossible_numbers_are_kept_as_they_are() -> None:
    found = stored_vectors(pa.BufferReader(layer_file(table([[NAN, 1.0], [float("inf"), -0.0]]))))
    assert found is not None
    assert str(found[1][0].tolist()) == "[[nan, 1.0], [inf, -0.0]]"


@pytest.mark.parametrize(
    "given",
    [
        table([]),
        table([None, None]),
        table([[], []]),
        table([[1.0], [1.0, 2.0]]),
        table([[1.0, None]]),
        table([[1.0], None], ["ok", "ok"]),
        table([[1.0], [2.0]], ["ok", "teacher_failed"]),
    ],
)
def test_what_cannot_lie_plainly_is_lists_only(given: pa.Table) -> None:
    data = layer_file(given)
    assert LENGTH not in pq.read_metadata(pa.BufferReader(data)).metadata
    assert stored_vectors(pa.BufferReader(data)) is None
    assert table_of(data) == given


def test_pages_that_are_cut_otherwise_are_not_said_to_be_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = vector_file._written
    monkeypatch.setattr(
        vector_file, "_written", lambda *a, **o: own(*a, **{**o, "data_page_size": 64})
    )
    given = table([[float(n)] * 16 for n in range(3_000)])
    data = layer_file(given)
    assert stored_vectors(pa.BufferReader(data)) is None
    assert table_of(data) == given
