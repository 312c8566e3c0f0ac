"""Parquet as `datasets` exports it: image structs, declared features, all kinds of captions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.corpus import CorpusOptions, open_corpus
from schemas.records import CorpusRecord, Status
from tests.pipeline.corpus.corpora import picture

STRUCT = pa.struct({"bytes": pa.binary(), "path": pa.string()})
TEXT = ["a dog", "a cat", "a hat"]
LISTS: list[Any] = [["a dog", "a cat"], ["a hat"], []]


def write(root: Path, columns: dict[str, Any], image: str = "image", **options: Any) -> Path:
    """A shard with an image column of this name, declared as such, and a column of numbers."""
    root.mkdir(parents=True, exist_ok=True)
    rows = len(next(iter(columns.values())))
    images = pa.array([{"bytes": picture(n), "path": f"{n}.png"} for n in range(rows)], STRUCT)
    features = {image: {"_type": "Image"}, "label": {"_type": "Value", "dtype": "int64"}}
    note = {"huggingface": json.dumps({"info": {"features": features}})}
    table = pa.table({image: images, "label": list(range(rows)), **columns})
    pq.write_table(
        table.replace_schema_metadata(note), root / "train-00000-of-00001.parquet", **options
    )
    return root


def read(root: Path, **options: Any) -> list[CorpusRecord]:
    corpus = open_corpus(str(root), CorpusOptions(**options))
    return [record for unit in corpus.units() for record in corpus.read(unit)]


@pytest.mark.parametrize(
    "kind",
    [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())],
    ids=str,
)
def test_captions_as_text(kind: pa.DataType, tmp_path: Path) -> None:
    records = read(write(tmp_path / "toy", {"caption": pa.array(TEXT, kind)}))
    assert [record.caption for record in records] == TEXT
    assert [record.image_bytes for record in records] == [picture(n) for n in range(3)]


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.string()),
        pa.large_list(pa.string()),
        pa.list_(pa.large_string()),
        pa.large_list(pa.large_string()),
    ],
    ids=str,
)
def test_lists_of_captions(kind: pa.DataType, tmp_path: Path) -> None:
    root = write(tmp_path / "toy", {"caption": pa.array(LISTS, kind)})
    records = read(root)
    assert [record.caption for record in records] == ["a dog", "a cat", "a hat", None]
    ids = [record.record_id.removeprefix("toy/train-00000-of-00001/") for record in records]
    assert ids == ["00000000/0", "00000000/1", "00000001/0", "00000002/0"]
    assert records[3].error == (Status.CAPTION_MISSING, "there is no caption")
    first = read(root, captions="first")
    assert [record.caption for record in first] == ["a dog", "a hat", None]


@pytest.mark.parametrize("in_list", [False, True])
def test_captions_inside_objects(in_list: bool, tmp_path: Path) -> None:
    """Karpathy's COCO has `sentences: {raw, tokens, sentid}`."""
    values: list[Any] = [{"raw": text, "sentid": n} for n, text in enumerate(TEXT)]
    values = [[value] for value in values] if in_list else values
    records = read(write(tmp_path / "toy", {"sentences": values}))
    assert [record.caption for record in records] == TEXT


@pytest.mark.parametrize("kind", [pa.list_(pa.string()), pa.large_list(pa.large_string())], ids=str)
def test_text_in_a_list_that_is_no_utf8_costs_itself(kind: pa.DataType, tmp_path: Path) -> None:
    raw = pa.binary() if kind.value_type == pa.string() else pa.large_binary()
    make = pa.large_list if pa.types.is_large_list(kind) else pa.list_
    captions = pa.array([[b"a dog", b"caf\xe9"], [b"a cat"]], make(raw))
    records = read(write(tmp_path / "toy", {"caption": captions.view(kind)}))
    assert [record.error and record.error[0] for record in records] == [
        None,
        Status.CAPTION_INVALID,
        None,
    ]
    assert records[2].caption == "a cat"


def test_columns_are_chosen_by_flags(tmp_path: Path) -> None:
    columns = {"caption": TEXT, "alt": [f"{text} again" for text in TEXT], "key": ["x", "y", "z"]}
    root = write(tmp_path / "toy", columns, image="photo")
    records = read(root, caption_field="alt", id_field="key", image_field="photo", source="web")
    assert [record.caption for record in records] == columns["alt"]
    assert [record.record_id.rpartition("/")[2] for record in records] == ["x", "y", "z"]
    assert {record.record_id.partition("/")[0] for record in records} == {"web"}
    assert [record.caption for record in read(root)] == TEXT  # the declared image, a usual name
