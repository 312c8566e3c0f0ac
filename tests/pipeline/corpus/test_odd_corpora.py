"""Corpora as tools and people write them: read, or refused with a sentence that says which."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.corpus import CorpusOptions, open_corpus
from pipeline.images.fetch import read_image_uri
from schemas.errors import ConfigError, GlipforgeError, UnitError
from schemas.records import CorpusRecord, Status
from tests.corpus_builders import picture_bytes
from tests.pipeline.corpus.corpora import write_tar

BOM = b"\xef\xbb\xbf"


def read(folder: Path, **options) -> list[CorpusRecord]:
    corpus = open_corpus(str(folder), CorpusOptions(**options))
    units = pickle.loads(pickle.dumps(corpus.units(2)))
    corpus = pickle.loads(pickle.dumps(corpus))  # as a worker gets it
    return [record for unit in units for record in corpus.read(unit)]


def write(path: Path, data: bytes | str | dict | list) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(data, dict | list):
        data = json.dumps(data)
    path.write_bytes(data.encode() if isinstance(data, str) else data)


def img2dataset_files(root: Path) -> Path:
    """Two shards of three rows each; of the second one picture is gone from the disk."""
    for shard in ("00000", "00001"):
        keys = [f"{shard}{number:04d}" for number in range(3)]
        for key in keys[:2]:
            write(root / shard / f"{key}.jpg", picture_bytes(int(key)))
            write(root / shard / f"{key}.txt", f"a dog {key}")
            write(root / shard / f"{key}.json", {"caption": "not this"})
        table = {
            "key": keys,
            "status": ["success", "success", "failed_to_download"],
            "error_message": [None, None, "HTTP Error 404: Not Found"],
            "caption": ["x", "y", "a lost dog"],
            "url": [f"http://127.0.0.1:9/{key}.jpg" for key in keys],
        }
        pq.write_table(pa.table(table), root / f"{shard}.parquet")
        write(root / f"{shard}_stats.json", {"count": 3})
    (root / "00001" / "000010001.jpg").unlink()
    return root


@pytest.mark.parametrize("options", [{}, {"format": "img2dataset"}])
def test_files_of_img2dataset_are_read_from_the_disk(options: dict, tmp_path: Path) -> None:
    records = read(img2dataset_files(tmp_path / "got"), **options)
    good = [record for record in records if record.error is None]
    assert [record.caption for record in good] == [
        "a dog 000000000",
        "a dog 000000001",
        "a dog 000010000",
    ]
    bad = {record.record_id: record.error for record in records if record.error is not None}
    assert bad["got/00000/000000002"] == (
        Status.IMAGE_MISSING,
        "img2dataset did not get it: failed_to_download: HTTP Error 404: Not Found",
    )
    assert bad["got/00001/000010001"] is not None  # it was got, and is gone
    assert len(bad) == 3
    assert len({record.record_id for record in records}) == len(records)


def test_json_with_a_byte_order_mark(tmp_path: Path) -> None:
    data = BOM + b'{"caption": "a dog"}'
    write(tmp_path / "folder" / "0.jpg", picture_bytes(0))
    write(tmp_path / "folder" / "0.json", data)
    write_tar(_made(tmp_path / "tars") / "0.tar", {"0.jpg": picture_bytes(0), "0.json": data})
    for name in ("folder", "tars"):
        (record,) = read(tmp_path / name)
        assert (record.caption, record.error) == ("a dog", None)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def test_a_broken_text_beside_an_image_says_why(tmp_path: Path) -> None:
    for number, data in enumerate((b"{", b"[1]", BOM + b"\xff")):
        write(tmp_path / "toy" / f"{number}.jpg", picture_bytes(number))
        write(tmp_path / "toy" / f"{number}.json", data)
    os.mkfifo(tmp_path / "toy" / "3.txt")
    write(tmp_path / "toy" / "3.jpg", picture_bytes(3))
    first, second, third, _ = read(tmp_path / "toy")
    for record, said in ((first, "is broken"), (second, "an object"), (third, "is broken")):
        assert record.error is not None
        assert record.error[0] is Status.RECORD_INVALID
        assert said in record.error[1]


def test_names_that_are_not_utf8_are_labelled(tmp_path: Path) -> None:
    folder = os.fsencode(_made(tmp_path / "toy"))
    os.mkdir(folder + b"/\xe9t\xe9")
    for name in (b"caf\xe9", b"\xe9t\xe9/na\xefve #1", b"plain"):
        with open(folder + b"/" + name + b".png", "wb") as stream:
            stream.write(picture_bytes(len(name)))
        with open(folder + b"/" + name + b".txt", "wb") as stream:
            stream.write(b"a dog")
    records = read(tmp_path / "toy")
    assert len(records) == 3
    for record in records:
        assert record.error is None
        assert record.image_uri is not None
        record.image_uri.encode()
        record.record_id.encode()
        assert read_image_uri(record.image_uri).startswith(b"\x89PNG")


@pytest.mark.parametrize("written", ["images\\0.png", ".\\images\\0.png"])
def test_paths_written_on_windows(written: str, tmp_path: Path) -> None:
    write(tmp_path / "images" / "0.png", picture_bytes(0))
    write(tmp_path / "lines" / "x.jsonl", json.dumps({"image": f"..\\{written}", "caption": "a"}))
    write(tmp_path / "x.jsonl", json.dumps({"image": written, "caption": "a dog"}))
    (record,) = read(tmp_path / "x.jsonl")
    assert record.image_uri == str(tmp_path / "images" / "0.png")
    (record,) = read(tmp_path / "lines")
    assert record.error is not None
    assert "leaves the corpus folder" in record.error[1]
    write(
        tmp_path / "coco.json",
        {
            "images": [{"id": 1, "file_name": written}],
            "annotations": [{"image_id": 1, "caption": "a dog"}],
        },
    )
    (record,) = read(tmp_path / "coco.json")
    assert record.image_uri == str(tmp_path / "images" / "0.png")


def test_a_name_with_a_backslash_stays_a_name(tmp_path: Path) -> None:
    write(tmp_path / "a\\b.png", picture_bytes(0))
    write(tmp_path / "x.jsonl", json.dumps({"image": "a\\b.png", "caption": "a dog"}))
    (record,) = read(tmp_path / "x.jsonl")
    assert record.image_uri == str(tmp_path / "a\\b.png")


def test_coco_ids_and_what_an_image_lacks(tmp_path: Path) -> None:
    write(tmp_path / "0.png", picture_bytes(0))
    images = [
        {"id": 1.0, "file_name": "0.png"},
        {"id": 2, "coco_url": "http://x/2.jpg"},
        {"file_name": "0.png"},
        "no object",
    ]
    captions = [{"image_id": 1, "caption": "a dog"}, {"image_id": 9, "caption": "a cat"}]
    write(tmp_path / "c.json", {"images": images, "annotations": captions})
    good, *bad = read(tmp_path / "c.json")
    assert (good.caption, good.error) == ("a dog", None)
    said = [record.error[1] for record in bad if record.error]
    assert "images[1] (id 2) has no file_name; it has id, coco_url" in said[0]
    assert "images[2] has no id" in said[1]
    assert "images[3] is not an object" in said[2]
    assert "image_id 9 of a caption is not in images" in said[3]


def test_coco_ids_match_as_text_and_as_numbers(tmp_path: Path) -> None:
    """A text id that no image has, and whose number one has, is that number; and back."""
    write(tmp_path / "0.png", picture_bytes(0))
    ids = [42, "7", "007", "x", 1.0]
    write(
        tmp_path / "c.json",
        {
            "images": [{"id": one, "file_name": "0.png"} for one in ids],
            "annotations": [
                {"image_id": one, "caption": f"{one!r}"}
                for one in ("42", 42, 7, "007", "x", "1", "42.0", " 42", True)
            ],
        },
    )
    found = read(tmp_path / "c.json")
    usable = [record.caption for record in found if record.error is None]
    assert usable == ["'42'", "42", "7", "'007'", "'x'", "'1'"]
    assert len(found) == 9


def test_of_a_folder_of_coco_files_those_with_captions(tmp_path: Path) -> None:
    write(tmp_path / "train" / "0.png", picture_bytes(0))
    images = [{"id": 1, "file_name": "0.png"}]
    for name, annotation in (
        ("captions_train", {"image_id": 1, "caption": "a dog"}),
        ("instances_train", {"image_id": 1, "bbox": [1, 1, 2, 2], "category_id": 1}),
    ):
        content = {"images": images, "annotations": [annotation]}
        write(tmp_path / "annotations" / f"{name}.json", content)
    (record,) = read(tmp_path / "annotations")
    assert record.caption == "a dog"


@pytest.mark.parametrize("twice", ["caption", "image", "id"])
def test_a_column_that_stands_twice_is_named(twice: str, tmp_path: Path) -> None:
    names = ["image", "caption", "id", twice]
    values = {"image": [b"x"], "caption": ["a dog"], "id": ["1"]}
    table = pa.table([values[name] for name in names], names=names)
    pq.write_table(table, _made(tmp_path / "toy") / "1.parquet")
    with pytest.raises(ConfigError, match=f"1.parquet has 2 columns '{twice}'"):
        read(tmp_path / "toy", id_field="id")
    one = pa.table([values[name] for name in names[:3]], names=names[:3])
    pq.write_table(one, tmp_path / "toy" / "0.parquet")
    with pytest.raises(UnitError, match=f"1.parquet has 2 columns '{twice}'"):
        read(tmp_path / "toy", id_field="id")


def test_an_untrusted_corpus_reads_nothing_outside(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    write(secret, "a password")
    write(tmp_path / "toy" / "0.jpg", picture_bytes(0))
    (tmp_path / "toy" / "0.txt").symlink_to(secret)
    (record,) = read(tmp_path / "toy", untrusted=True)
    assert record.caption is None
    assert record.error is not None
    assert "not below the corpus" in record.error[1]
    assert read(tmp_path / "toy")[0].caption == "a password"

    corpus = open_corpus(str(tmp_path / "toy"), CorpusOptions(untrusted=True))
    inside, link = tmp_path / "toy" / "0.jpg", tmp_path / "toy" / "1.jpg"
    link.symlink_to(secret)
    assert read_image_uri(str(inside), access=corpus.access)
    for uri in (link, secret, f"file://{secret}", f"{tmp_path}/toy/../secret.txt", "s3://b/x.jpg"):
        with pytest.raises(GlipforgeError, match="not below the corpus"):
            read_image_uri(str(uri), access=corpus.access)

    # A picture that is a link is a row; the others are read.
    assert len(read(tmp_path / "toy", untrusted=True)) == 2

    (tmp_path / "lines").mkdir()
    (tmp_path / "lines" / "x.jsonl").symlink_to(secret)
    with pytest.raises(ConfigError, match="it is a link to elsewhere"):
        open_corpus(str(tmp_path / "lines"), CorpusOptions(untrusted=True))


def test_a_table_of_img2dataset_that_is_a_link_to_elsewhere(tmp_path: Path) -> None:
    write(tmp_path / "toy" / "00000" / "000.jpg", picture_bytes(0))
    write(tmp_path / "toy" / "00000_stats.json", "{}")
    write(tmp_path / "secret.parquet", "a password")
    (tmp_path / "toy" / "00000.parquet").symlink_to(tmp_path / "secret.parquet")
    with pytest.raises(ConfigError, match="it is a link to elsewhere"):
        open_corpus(str(tmp_path / "toy"), CorpusOptions(untrusted=True))


@pytest.mark.parametrize("name", ["x.tar.gz", "x.jsonl.gz"])
def test_bytes_of_what_is_no_archive_are_in_no_message(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, "ZQ" * 300)
    with pytest.raises(GlipforgeError) as raised:
        read(tmp_path / name)
    assert "ZQ" not in str(raised.value)


def test_untrusted_is_in_the_plan_only_where_it_is_set() -> None:
    assert "untrusted" not in CorpusOptions().as_dict()
    assert CorpusOptions(untrusted=True).as_dict()["untrusted"] is True


def test_a_signed_url_is_not_in_an_id(tmp_path: Path) -> None:
    url = "https://store/x.jpg?X-Amz-Signature=secret"
    write(tmp_path / "x.jsonl", json.dumps({"image": url, "caption": "a dog"}))
    (record,) = read(tmp_path / "x.jsonl")
    assert record.image_uri == url
    assert "secret" not in record.record_id
