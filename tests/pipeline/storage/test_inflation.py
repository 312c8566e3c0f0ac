"""Parquet and gzip that hold little and say much."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.corpus import open_corpus
from pipeline.gold import load_gold
from pipeline.images.fetch import read_image_uri
from pipeline.storage.inflation import BoundedGzip, Inflates, parquet_batches
from schemas.errors import DataError, RecordError
from schemas.records import Status

MIB = 1 << 20
LARGE = "x" * 4_096


@pytest.fixture(autouse=True)
def a_small_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.storage.inflation.FREE_BYTES", MIB)


def table(rows: int, **columns: Any) -> pa.Table:
    """Rows as GRIT has them."""
    chunks = pa.array([[[0.0, 1.0, 0.0, 0.0, 1.0, 1.0]]] * rows)
    return pa.table(
        {
            "key": [str(n) for n in range(rows)],
            "width": [10] * rows,
            "height": [10] * rows,
            "caption": ["a dog"] * rows,
            "noun_chunks": chunks,
        }
        | columns
    )


def one_text_many_times(rows: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([LARGE]))


BOMBS = {
    "a text of which each row is one": table(2_000, caption=one_text_many_times(2_000)),
    "a list of one text": table(
        1,
        caption=pa.ListArray.from_arrays(
            pa.array([0, 2_000], pa.int32()), one_text_many_times(2_000)
        ),
    ),
    "a long text": table(1, caption=["x" * 2 * MIB]),
    "a long list": table(
        1, noun_chunks=pa.ListArray.from_arrays(pa.array([0, 200_000]), np.zeros(200_000))
    ),
}


@pytest.mark.parametrize("name", list(BOMBS))
def test_a_small_file_that_says_much_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(BOMBS[name], path, compression="zstd")
    assert path.stat().st_size < 40_000
    before = pa.total_allocated_bytes()
    with pytest.raises(DataError, match=r"a.parquet' unpacks to more than [0-9,]+ bytes.*: it is"):
        load_gold(str(path), "grit")
    assert pa.total_allocated_bytes() - before < 4 * MIB


def test_what_repeats_itself_within_reason_is_read(tmp_path: Path) -> None:
    """A batch that is too large at once comes in parts."""
    path = tmp_path / "a.parquet"
    pq.write_table(table(200, caption=one_text_many_times(200)), path, compression="zstd")
    assert {len(sample.caption) for sample in load_gold(str(path), "grit").samples} == {4_096}
    fields = {"t": pa.array([{"a": ["b", None], "m": 1}, None]), "k": pa.array([b"1", None])}
    pq.write_table(pa.table(fields), path)
    size = path.stat().st_size
    (batch,) = parquet_batches(str(path), "it", size, rows=10, columns=["t"])
    assert batch.to_pylist() == [{"t": {"a": ["b", None], "m": 1}}, {"t": None}]


def test_batches_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.storage.inflation.FREE_BYTES", 1_000)
    path = tmp_path / "a.parquet"
    texts = [f"{n:0400}" for n in range(9)]
    pq.write_table(pa.table({"t": texts}), path, compression="none")
    parts = list(parquet_batches(str(path), "it", path.stat().st_size, rows=9))
    assert [text for part in parts for text in part.column(0).to_pylist()] == texts
    assert len(parts) == 5  # at most two of the texts in each, as halves of halves
    pq.write_table(pa.table({"t": ["y" * 2_000]}), path)
    with pytest.raises(Inflates, match="it unpacks to more than 1,000 bytes"):
        list(parquet_batches(str(path), "it", path.stat().st_size, rows=9))


@pytest.mark.parametrize("kind", ["binary", "list"])
def test_an_image_that_is_none_by_its_size(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.parquet"
    column = pa.array([b"\0" * (2 * MIB)])
    if kind == "list":
        column = pa.ListArray.from_arrays(
            pa.array([0, 500], pa.int32()),
            pa.DictionaryArray.from_arrays(
                pa.array([0] * 500, pa.int32()), pa.array([b"\0" * 4_096])
            ),
        )
    pq.write_table(pa.table({"image": column}), path, compression="zstd")
    with pytest.raises(RecordError, match="unpacks to more than") as caught:
        read_image_uri(f"{path}#0/image")
    assert caught.value.status == Status.IMAGE_TOO_LARGE


@pytest.mark.parametrize("column", ["image", "image.jpg", "images"])
def test_images_far_in_a_large_group_are_read(tmp_path: Path, column: str) -> None:
    """More than may come out of a small file; columns of web datasets have dots in their names."""
    random = np.random.default_rng(0)
    images = [b"\x89PNG" + random.bytes(MIB // 8) for _ in range(20)]
    path = tmp_path / "a.parquet"
    pq.write_table(
        pa.table({column: [[one] for one in images]} if column == "images" else {column: images}),
        path,
    )
    assert read_image_uri(f"{path}#19/{column}") == images[19]


def test_lists_of_one_image_are_not_read_as_dictionaries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That takes ten times as long."""
    asked: list[Any] = []
    real = pq.ParquetFile

    def opened(*args: Any, **options: Any) -> pq.ParquetFile:
        asked.append(options.get("read_dictionary"))
        return real(*args, **options)

    monkeypatch.setattr(pq, "ParquetFile", opened)
    path = tmp_path / "a.parquet"
    for sizes, said in (((1, 1, 0, 1), [None]), ((1, 2), [None, ["images.list.element"]])):
        cells = [[np.random.default_rng(n).bytes(MIB // 4)] * size for n, size in enumerate(sizes)]
        pq.write_table(pa.table({"images": cells}), path)
        asked.clear()
        size = path.stat().st_size
        found = parquet_batches(str(path), "it", size, rows=9, large_values=True)
        assert [cell for batch in found for cell in batch.column(0).to_pylist()] == cells
        assert asked == said


@pytest.mark.parametrize("what", ["spaces", "lines"])
def test_rows_before_what_inflates_are_read(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.storage.inflation.FREE_STREAM_BYTES", MIB)
    monkeypatch.setattr("pipeline.corpus.rows.json_lines._MAX_BLANK", 1_000)
    row = json.dumps({"image": "x.png", "caption": "a dog"}).encode() + b"\n"
    middle = b" " * (9 * MIB) if what == "spaces" else b"\n" * 2_000
    (tmp_path / "x.jsonl.gz").write_bytes(gzip.compress(row * 2 + middle + b"\n" + row))
    corpus = open_corpus(str(tmp_path))
    found = [record for unit in corpus.units() for record in corpus.read(unit)]
    said = {"spaces": "unpacks to more than", "lines": "1,000 blank lines before"}[what]
    assert [record.error is None for record in found] == [True, True, False]
    assert said in str(found[2].error)


def test_an_unpacked_stream_reads_as_a_file_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.storage.inflation.FREE_STREAM_BYTES", MIB)
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(bytes(range(256)) * 4_096))
    with path.open("rb") as raw, BoundedGzip(raw, "x.gz") as stream:
        for _ in range(3):  # what is read again is not more
            assert len(stream.read()) == MIB
            assert stream.read(1) == b""
            assert stream.seek(MIB - 3) == MIB - 3
            assert stream.read(99) == b"\xfd\xfe\xff"
            assert stream.seek(9 * MIB) == MIB
            assert stream.seek(0) == 0
    path.write_bytes(gzip.compress(bytes(9 * MIB)))
    with path.open("rb") as raw, BoundedGzip(raw, "x.gz") as stream:
        for call in (stream.read, stream.readline, lambda: stream.seek(9 * MIB)):
            with pytest.raises(Inflates, match="x.gz unpacks to more than 1,048,576 bytes"):
                call()
            stream.seek(0)
