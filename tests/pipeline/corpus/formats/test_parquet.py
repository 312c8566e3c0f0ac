"""Parquet: images as paths and URLs in every type of text."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.corpus import CorpusOptions, open_corpus
from pipeline.images.fetch import read_image_uri
from schemas.errors import ConfigError, UnitError
from schemas.records import CorpusRecord, Status
from tests.pipeline.corpus.corpora import picture, write_images


def write(path: Path, images: pa.Array, **columns: pa.Array) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    captions = pa.array([f"a dog{n}" for n in range(len(images))])
    pq.write_table(pa.table({"image": images, "caption": captions} | columns), path)
    return path


def read(path: Path, **options: str) -> list[CorpusRecord]:
    corpus = open_corpus(str(path), CorpusOptions(**options))
    return [record for unit in corpus.units() for record in corpus.read(unit)]


@pytest.mark.parametrize(
    "kind",
    [
        pa.string(),
        pa.large_string(),
        pa.string_view(),
        pa.dictionary(pa.int32(), pa.string()),
        pa.dictionary(pa.int8(), pa.large_string()),
    ],
    ids=str,
)
def test_paths_are_read_beside_the_file(kind: pa.DataType, tmp_path: Path) -> None:
    write_images(tmp_path / "toy" / "images")
    names = pa.array([f"images/{n}.png" for n in range(3)])
    records = read(write(tmp_path / "toy" / "t.parquet", names.cast(kind)))
    assert [record.error for record in records] == [None] * 3
    assert [record.image_bytes for record in records] == [None] * 3
    assert [read_image_uri(r.image_uri or "") for r in records] == [picture(n) for n in range(3)]


def test_urls_and_absolute_paths_and_an_image_root(tmp_path: Path) -> None:
    write_images(tmp_path / "pictures")
    names = ["0.png", f"{tmp_path}/pictures/1.png", f"file://{tmp_path}/pictures/2.png"]
    path = write(tmp_path / "toy" / "t.parquet", pa.array(names))
    records = read(path, image_root=str(tmp_path / "pictures"))
    assert [read_image_uri(r.image_uri or "") for r in records] == [picture(n) for n in range(3)]


def test_a_path_that_is_no_text_or_missing_is_a_row_with_a_reason(tmp_path: Path) -> None:
    raw = pa.array([b"caf\xe9.png", b"", None, b"../x.png"], pa.binary())
    images = pa.Array.from_buffers(pa.string(), len(raw), raw.buffers())
    records = read(write(tmp_path / "t.parquet", images))
    statuses = [record.error and record.error[0] for record in records]
    missing, invalid = Status.IMAGE_MISSING, Status.RECORD_INVALID
    assert statuses == [invalid, missing, missing, invalid]
    assert records[0].error == (invalid, r"the image path 'caf\udce9.png' is not valid text")


def test_a_file_with_another_type_of_images_is_read_by_its_own(tmp_path: Path) -> None:
    write_images(tmp_path / "toy")
    write(tmp_path / "toy" / "a.parquet", pa.array(["0.png"]))
    write(tmp_path / "toy" / "b.parquet", pa.array([picture(1)]))
    write(tmp_path / "toy" / "c.parquet", pa.array([1]))
    corpus = open_corpus(str(tmp_path / "toy"))
    first, second, third = corpus.units()
    (path,), (held,) = corpus.read(first), corpus.read(second)
    assert read_image_uri(path.image_uri or "") == picture(0)
    assert held.image_bytes == picture(1)
    with pytest.raises(UnitError, match=r"image_field 'image' of .*c.parquet has the type int64"):
        list(corpus.read(third))


def test_bytes_in_a_dictionary_are_images(tmp_path: Path) -> None:
    images = pa.array([picture(0), picture(0)]).dictionary_encode()
    assert [r.image_bytes for r in read(write(tmp_path / "t.parquet", images))] == [picture(0)] * 2


def test_no_column_that_could_be_an_image(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"caption": ["a dog"], "picture": ["0.png"], "size": [3]}), path)
    said = (
        r"t.parquet has no column that looks like an image: images are bytes, a struct with bytes, "
        r"a list of uint8, base64, or a path or URL, .*There is: 'caption' \(string\), "
        r"'picture' \(string\), 'size' "
        r"\(int64\). Choose another with image_field"
    )
    with pytest.raises(ConfigError, match=said):
        read(path)
    write_images(tmp_path)
    (record,) = read(path, image_field="picture")
    assert read_image_uri(record.image_uri or "") == picture(0)


def encoded(number: int, prefix: str = "") -> str:
    return prefix + base64.b64encode(picture(number)).decode()


def as_in_urls(image: bytes) -> str:
    text = base64.urlsafe_b64encode(image).decode()
    assert "-" in text or "_" in text
    return text.rstrip("=")


@pytest.mark.parametrize(
    "images",
    [
        pa.array([list(picture(n)) for n in range(2)], pa.list_(pa.uint8())),
        pa.array([list(picture(n)) for n in range(2)], pa.large_list(pa.uint8())),
        pa.array([[picture(n)] for n in range(2)]),
        pa.array([[{"bytes": picture(n), "path": None}] for n in range(2)]),
        pa.array([encoded(0), encoded(1, "data:image/png;base64,")]),
        pa.array([encoded(n).encode() for n in range(2)]),
        pa.array([as_in_urls(picture(n)) for n in range(2)]),
        pa.array([{"bytes": encoded(n).encode(), "path": None} for n in range(2)]),
        pa.array([[encoded(0)], [encoded(1, "data:image/png;base64,")]]),
    ],
    ids=[
        "uint8",
        "large uint8",
        "list",
        "list of struct",
        "base64",
        "bytes of base64",
        "URLs",
        "struct",
        "list of base64",
    ],
)
def test_images_of_every_form_are_read_and_read_again(tmp_path: Path, images: pa.Array) -> None:
    records = read(write(tmp_path / "t.parquet", images))
    assert [r.error for r in records] == [None, None]
    assert [r.image_bytes for r in records] == [picture(0), picture(1)]
    assert [read_image_uri(r.image_uri or "") for r in records] == [picture(0), picture(1)]


def test_several_images_of_a_pair_are_said_to_be(tmp_path: Path) -> None:
    for form in (picture, encoded):
        images = pa.array([[form(0), form(1)], [], [form(2)]])
        found = [r.error for r in read(write(tmp_path / "t.parquet", images))]
        assert found == [
            (Status.RECORD_INVALID, "row 0 holds 2 images; a pair has one"),
            (Status.IMAGE_MISSING, "row 1 holds no image"),
            None,
        ]


def test_a_list_of_one_path_is_that_path(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(picture(0))
    table = pa.table({"images": [["a.png"], [None]], "caption": ["a", "b"]})
    pq.write_table(table, tmp_path / "t.parquet")
    first, second = read(tmp_path / "t.parquet")
    assert read_image_uri(first.image_uri or "") == picture(0)
    assert second.error == (Status.IMAGE_MISSING, "row 1 holds no image")


def with_captions(path: Path, captions: Any, names: list[str] | None = None) -> Path:
    table = pa.table({"image": [picture(0), picture(1)], "caption": captions})
    if names:
        feature = {"caption": {"names": names, "_type": "ClassLabel"}}
        note = {b"huggingface": json.dumps({"info": {"features": feature}}).encode()}
        table = table.replace_schema_metadata(note)
    pq.write_table(table, path)
    return path


def test_captions_in_structs_and_numbers(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    two = pa.array([{"en": "a dog", "de": "ein Hund"}, {"en": "a cat", "de": None}])
    with_captions(path, two)
    with pytest.raises(ConfigError, match=r"are objects: choose .*: caption.en, caption.de"):
        read(path)
    assert [r.caption for r in read(path, caption_field="caption.de")] == ["ein Hund", None]
    with_captions(path, pa.array([{"en": "a dog"}, {"en": "a cat"}]))
    assert [r.caption for r in read(path)] == ["a dog", "a cat"]
    with_captions(path, pa.array([[{"raw": "a dog", "id": 3}, {"raw": "a hat", "id": 4}], []]))
    assert [r.caption for r in read(path)] == ["a dog", "a hat", None]
    with_captions(path, pa.array([1, 0]))
    with pytest.raises(ConfigError, match=r"'caption' holds numbers \(int64\) that have no names"):
        read(path)
    with_captions(path, pa.array([1, 7]), ["cat", "dog"])
    records = read(path)
    assert records[0].caption == "dog"
    assert records[1].error == (Status.CAPTION_INVALID, "must be text, got int '7'")


def test_a_file_may_name_its_captions_otherwise(tmp_path: Path) -> None:
    for name, column in (("a", "caption"), ("b", "text")):
        table = pa.table({"image": [picture(0)], column: [f"{name} dog"]})
        pq.write_table(table, tmp_path / f"{name}.parquet")
    assert [r.caption for r in read(tmp_path)] == ["a dog", "b dog"]
    with pytest.raises(UnitError, match="b.parquet has no column 'caption'; it has image, text"):
        read(tmp_path, caption_field="caption")
