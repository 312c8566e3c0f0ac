"""Parquet from bytes: no thread of Arrow's holds a Python stream when the process ends."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.storage.parquet_bytes import open_bytes, table_of

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
