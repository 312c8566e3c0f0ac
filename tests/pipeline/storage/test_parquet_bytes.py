"""Parquet from bytes: no thread of Arrow's holds a Python stream when the process ends."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.storage.parquet_bytes import open_bytes, open_file, table_of
from schemas.errors import DataError

ROOT = Path(__file__).parents[3]


def test_rows_come_back() -> None:
    table = pa.table({"a": [1, 2, 3], "b": ["x", None, "z"]})
    buffer = io.BytesIO()
    pq.write_table(table, buffer, row_group_size=2)
    assert table_of(buffer.getvalue()) == table
    assert open_bytes(buffer.getvalue()).num_row_groups == 2


@pytest.mark.parametrize("data", [b"", b"PAR1", b"nothing of the kind"])
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(pa.ArrowException):
        table_of(data)


def bomb(name: str) -> pa.Table:
    """Some kilobytes as a file: values that are long, or that rows name."""
    text = pa.array(["x" * 12_000_000])
    if name == "rows":
        return pa.table({str(n): pa.nulls(1_700_000, pa.int64()) for n in range(10)})
    if name == "fixed":
        width = pa.binary(12_000_000)
        return pa.table({"a": pa.array([b"x" * width.byte_width] * 12, width)})
    values = text.dictionary_encode().take(pa.array([0] * 12))
    values = values.dictionary_decode() if name == "plain" else values
    if name == "list":
        values = pa.DictionaryArray.from_arrays(values.indices, values.dictionary)
        values = pa.ListArray.from_arrays([0, 12], values)
    return pa.table({"a": values})


@pytest.mark.parametrize("name", ["plain", "dictionary", "list", "rows", "fixed"])
def test_what_unpacks_to_much_more_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.storage.parquet_bytes._FREE_BYTES", 128 << 20)
    path = tmp_path / "x.parquet"
    pq.write_table(bomb(name), path, compression="zstd", use_dictionary=name != "plain")
    assert path.stat().st_size < 200_000
    for read, said in ((table_of, "it"), (lambda data: open_file(str(path)), str(path))):
        with pytest.raises(DataError, match=f"^{said} unpacks to more than 134,217,728 bytes: it"):
            read(path.read_bytes())


def test_what_many_rows_name_within_reason_is_read() -> None:
    table = pa.table({"a": ["x" * 10_000] * 5_000 + ["y"]})
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    assert table_of(buffer.getvalue()) == table


def test_images_that_each_name_all_classes_are_read() -> None:
    names = pa.array([f"a class with the number {n}" for n in range(1203)])
    places = pa.array(np.tile(np.arange(1203, dtype=np.int32), 4096))
    named = pa.DictionaryArray.from_arrays(places, names).dictionary_decode()
    ends = np.arange(0, 4096 * 1203 + 1, 1203, dtype=np.int32)
    buffer = io.BytesIO()
    table = pa.table({"a": pa.ListArray.from_arrays(ends, named)})
    pq.write_table(table, buffer, compression="zstd")
    assert 128 << 20 < named.nbytes > 100 * buffer.tell()
    assert open_bytes(buffer.getvalue()).metadata.num_rows == 4096


def test_no_reader_leaves_threads_behind() -> None:
    """`pq.read_table` scans with threads that outlive it; so may a threaded read of a stream."""
    found = []
    for folder in ("pipeline", "jobs", "model", "schemas"):
        for path in (ROOT / folder).rglob("*.py"):
            for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
                threaded = re.search(r"\.(read_row_groups?|iter_batches)\(", line)
                if re.search(r"pq\.read_table\(|ParquetFile\(io\.", line) or (
                    threaded and "use_threads=False" not in line
                ):
                    found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")
    assert not found, "give use_threads=False, or use table_of:\n" + "\n".join(found)
