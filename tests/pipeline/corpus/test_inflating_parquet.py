"""Small Parquet files that unpack to large ones: rows with a reason, in little memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.corpus import open_corpus
from pipeline.storage.parquet_cell import read_parquet_cell
from schemas.errors import RecordError
from schemas.records import Status

CELL = 12 * 2**20
ROWS = 48
PEAK = """
import resource, sys
from pipeline.corpus import open_corpus
corpus = open_corpus(sys.argv[1])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
rows = sum(1 for unit in corpus.units() for _ in corpus.read(unit))
print(rows, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.parametrize("shape", ["bytes", "struct", "delta"])
def test_a_cell_that_repeats_is_in_memory_a_few_times(shape: str, tmp_path: Path) -> None:
    value = bytes(CELL)
    images = [{"bytes": value, "path": "x"} if shape == "struct" else value] * ROWS
    table = pa.table({"image": images, "caption": ["a dog"] * ROWS})
    options = {"use_dictionary": False, "column_encoding": {"image": "DELTA_BYTE_ARRAY"}}
    pq.write_table(
        table,
        tmp_path / "x.parquet",
        compression="zstd",
        **(options if shape == "delta" else {}),  # type: ignore[arg-type]
    )
    command = [sys.executable, "-c", PEAK, str(tmp_path / "x.parquet")]
    said = subprocess.run(command, check=True, capture_output=True, text=True, timeout=400).stdout
    rows, peak_mib = map(int, said.split())
    assert rows == ROWS
    assert peak_mib < ROWS * CELL / 2**20 / 2


def test_a_row_group_that_inflates_is_rows_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.corpus.formats.parquet_columns.MAX_INFLATED_BYTES", 2**20)
    path = tmp_path / "x.parquet"
    table = pa.table({"image": [bytes(2**20)] * 3, "caption": ["a dog"] * 3})
    pq.write_table(table, path, compression="zstd", use_dictionary=False)
    corpus = open_corpus(str(path))
    rows = [record for unit in corpus.units() for record in corpus.read(unit)]
    assert [row.error and row.error[0] for row in rows] == [Status.RECORD_INVALID] * 3
    assert "column 'image' unpacks from" in str(rows[0].error)


def test_a_cell_is_found_behind_many_rows(tmp_path: Path) -> None:
    path = str(tmp_path / "x.parquet")
    table = pa.table({"image": [b"%d" % number for number in range(50)]})
    pq.write_table(table, path, row_group_size=20)
    assert [read_parquet_cell(path, row, "image") for row in (0, 19, 20, 37, 49)] == [
        *(b"0", b"19", b"20", b"37", b"49")
    ]
    with pytest.raises(RecordError, match="there is no row 50"):
        read_parquet_cell(path, 50, "image")
