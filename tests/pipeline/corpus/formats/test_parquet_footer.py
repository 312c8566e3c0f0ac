"""Column sizes from a footer: those that Arrow says, and no footer ends the process."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.corpus import open_corpus
from pipeline.corpus.formats import parquet_columns
from pipeline.corpus.formats.parquet_footer import ColumnSize, column_sizes
from tests.pipeline.corpus.corpora import picture


def write(path: Path) -> Path:
    image = [{"bytes": picture(n), "path": None} for n in range(6)]
    table = pa.table({"image": image, "caption": [f"a dog and a cat{n}" for n in range(6)]})
    pq.write_table(table, path, row_group_size=2)
    return path


def test_as_arrow_says_them(tmp_path: Path) -> None:
    nested = {"a": [[{"b": n, "c": "x" * n, "d": n / 2}] for n in range(100)], "e": [True] * 100}
    for number, options in enumerate(({}, {"version": "1.0"}, {"write_page_index": True})):
        path = tmp_path / f"{number}.parquet"
        pq.write_table(pa.table(nested), path, row_group_size=7, **options)
        metadata = pq.ParquetFile(path).metadata
        for group in (0, 14):
            row_group = metadata.row_group(group)
            columns = [row_group.column(n) for n in range(row_group.num_columns)]
            assert column_sizes(metadata, group) == [
                ColumnSize(c.path_in_schema, c.total_compressed_size, c.total_uncompressed_size)
                for c in columns
            ]


def read(path: Path) -> list[str]:
    corpus = open_corpus(str(path))
    (unit,) = corpus.units(512)
    return [record.error[1] if record.error else "" for record in corpus.read(unit)]


@pytest.mark.parametrize("most", [0, parquet_columns.MAX_INFLATED_BYTES])
def test_a_footer_that_arrow_s_accessor_dies_of_is_rows_with_a_reason(
    most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_columns, "MAX_INFLATED_BYTES", most)  # 0: the footer is read
    path = write(tmp_path / "x.parquet")
    assert read(path) == [""] * 6
    damaged = path.read_bytes().replace(b"<)\x06\x19", b"<)&\x19", 1)
    assert damaged != path.read_bytes()
    path.write_bytes(damaged)
    # Should Arrow refuse it one day, `column_sizes` can go.
    ask = "import sys, pyarrow.parquet as q; q.read_metadata(sys.argv[1]).row_group(0).column(1)"
    words = [sys.executable, "-c", ask, str(path)]
    assert subprocess.run(words, stderr=subprocess.DEVNULL).returncode == -signal.SIGABRT
    said = read(path)
    assert len(said) == 6
    assert "row group 0 cannot be read from row 0 on" in said[0]
    assert said[2:] == [""] * 4
