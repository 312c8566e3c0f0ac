"""Values of Parquet that Python has no form of, or too much of, cost their own row alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.corpus import CorpusOptions, open_corpus
from pipeline.corpus.captions import MAX_CAPTIONS
from pipeline.corpus.formats import parquet_columns
from pipeline.corpus.formats.parquet_columns import as_raw, has_repeats
from pipeline.storage.parquet_cell import read_parquet_cell
from schemas.errors import ConfigError
from schemas.records import CorpusRecord, Status
from tests.pipeline.corpus.corpora import picture

CAPTIONS = ["a dog", "a cat", "a red box"]
NO_TEXT = pa.array([b"a dog", b"a caf\xe9", b"a cat"]).buffers()


def not_utf8() -> pa.Array:
    return pa.StringArray.from_buffers(3, *NO_TEXT[1:])


def read(folder: Path, columns: dict[str, Any], **options: Any) -> list[CorpusRecord]:
    plain = {"image": [picture(n) for n in range(3)], "caption": CAPTIONS}
    pq.write_table(pa.table(plain | columns), folder / "x.parquet")
    corpus = open_corpus(str(folder), CorpusOptions(**options))
    return [record for unit in corpus.units() for record in corpus.read(unit)]


def statuses(records: list[CorpusRecord]) -> list[Status | None]:
    return [record.error[0] if record.error else None for record in records]


@pytest.mark.parametrize(
    "times, said",
    [
        (pa.array([1, 2**62, 3], pa.timestamp("ms")), "must be text, got datetime"),
        (pa.array([1, 2**62, 3], pa.duration("s")), "must be text, got timedelta"),
        (pa.array([1, 2, 3], pa.timestamp("us", "Mars/Olympus")), "column 't' cannot be read"),
    ],
)
def test_times_that_no_calendar_has(times: pa.Array, said: str, tmp_path: Path) -> None:
    found = read(tmp_path, {"t": times}, caption_field="t")
    assert len(found) == 3
    assert said in str(found[0].error)
    assert said in str(found[2].error)
    assert "row 1: column 't' cannot be read" in str(found[1].error) or said in str(found[1].error)
    assert statuses(read(tmp_path, {"t": times}, id_field="t")) == [Status.RECORD_INVALID] * 3


def test_text_that_is_not_utf8_in_a_struct_costs_its_own_row(tmp_path: Path) -> None:
    sentences = pa.StructArray.from_arrays([not_utf8(), pa.array([1, 2, 3])], ["raw", "id"])
    lists = pa.ListArray.from_arrays(pa.array([0, 1, 2, 3], pa.int32()), sentences)
    for value in (sentences, lists):
        plain = pa.table({"image": [picture(n) for n in range(3)], "sentences": value})
        pq.write_table(plain, tmp_path / "x.parquet")
        corpus = open_corpus(str(tmp_path))
        found = [record for unit in corpus.units() for record in corpus.read(unit)]
        assert statuses(found) == [None, Status.CAPTION_INVALID, None]
        assert "not UTF-8: byte 0xe9" in str(found[1].error)


def test_the_name_of_an_image_whose_bytes_are_there_may_be_anything(tmp_path: Path) -> None:
    bytes_there = pa.array([picture(n) for n in range(3)])
    there = pa.StructArray.from_arrays([bytes_there, not_utf8()], ["bytes", "path"])
    assert statuses(read(tmp_path, {"image": there})) == [None] * 3
    named = pa.StructArray.from_arrays([pa.nulls(3, pa.binary()), not_utf8()], ["bytes", "path"])
    found = read(tmp_path, {"image": named})
    assert statuses(found) == [None, Status.RECORD_INVALID, None]
    assert "is not valid text" in str(found[1].error)


def test_images_as_lists_of_bytes_take_the_memory_of_bytes(tmp_path: Path) -> None:
    image = np.frombuffer(picture(0), np.uint8)
    column = pa.array([image, None, image], pa.list_(pa.uint8()))
    assert as_raw(column) == [picture(0), None, picture(0)]
    found = read(tmp_path, {"image": column})
    assert [record.image_bytes for record in found] == [picture(0), None, picture(0)]
    assert read_parquet_cell(str(tmp_path / "x.parquet"), 2, "image") == picture(0)
    holes = pa.array([image, pa.array([1, None], pa.uint8()), image], pa.list_(pa.uint8()))
    found = read(tmp_path, {"image": holes})
    assert statuses(found) == [None, Status.RECORD_INVALID, None]
    assert "column 'image' cannot be read: one of its bytes is missing" in str(found[1].error)


def test_a_list_of_very_many_values_is_one_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = [None] * (MAX_CAPTIONS + 1)
    found = read(tmp_path, {"caption": pa.array([["a dog"], most, ["a cat"]])})
    assert statuses(found) == [None, Status.RECORD_INVALID, None]
    assert "the image has 1,001 captions; at most 1,000 are read" in str(found[1].error)
    monkeypatch.setattr(parquet_columns, "MAX_VALUES", 100)
    listed = [["a dog"], most, ["a cat"]]
    keyed = [[("en", words)] for words in listed]
    wide = [[words[0]] * 1001 if words == most else None for words in listed]
    for value in (
        pa.array(listed),
        pa.array([[words] for words in listed]),
        pa.array(keyed, pa.map_(pa.string(), pa.list_(pa.string()))),
        pa.array(wide, pa.list_(pa.string(), 1001)),
    ):
        found = read(tmp_path, {"caption": value})
        assert "a list of 1,001 values; at most 100 are read" in str(found[1].error)
        assert "at most 100" not in str(found[2].error)


def test_ids_are_compared_in_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    for ids, expected in ((["a", "b", "c"], False), (["a", "b", "a"], True), ([1, 2, 3], False)):
        pq.write_table(pa.table({"id": ids}), path, row_group_size=2)
        with pq.ParquetFile(path) as file:
            assert has_repeats(file, "id") is expected
            assert has_repeats(file, "other")
    found = read(tmp_path, {"u": [UUID(int=n).bytes for n in range(3)]}, id_field="u")
    assert statuses(found) == [None] * 3
    uuids = pa.array([UUID(int=n).bytes for n in range(3)], pa.binary(16))
    column = pa.ExtensionArray.from_storage(pa.uuid(), uuids)
    found = read(tmp_path, {"u": column}, id_field="u")
    assert found[2].record_id.endswith("/x/00000000-0000-0000-0000-000000000002")


def test_a_chosen_column_that_is_there_twice_is_named(tmp_path: Path) -> None:
    images = pa.array([picture(n) for n in range(3)])
    twice = [images, pa.array(CAPTIONS), pa.array(CAPTIONS)]
    names = ["image", "caption", "caption"]
    pq.write_table(pa.Table.from_arrays(twice, names), tmp_path / "x.parquet")
    with pytest.raises(ConfigError, match="2 columns 'caption'"):
        open_corpus(str(tmp_path), CorpusOptions(caption_field="caption"))
    names = ["image", "caption", "status"]
    table = pa.Table.from_arrays([*twice, twice[2]], [*names, "status"])
    pq.write_table(table, tmp_path / "x.parquet")
    corpus = open_corpus(str(tmp_path))
    found = [record for unit in corpus.units() for record in corpus.read(unit)]
    assert statuses(found) == [None] * 3


def test_damaged_base64_is_not_taken_for_a_path(tmp_path: Path) -> None:
    found = read(tmp_path, {"image": ["data:image/png;base64,@@" + "A" * 99] * 3})
    assert statuses(found) == [Status.IMAGE_CORRUPT] * 3
    assert "damaged base64" in str(found[0].error)


def test_of_very_many_columns_some_are_named(tmp_path: Path) -> None:
    pq.write_table(pa.table({f"c{n}": [1] for n in range(500)}), tmp_path / "x.parquet")
    with pytest.raises(ConfigError, match="'c0' .int64.*and 450 more") as caught:
        open_corpus(str(tmp_path))
    assert len(str(caught.value)) < 3000
