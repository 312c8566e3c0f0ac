"""Ids of records are unique in the whole corpus, also where files have names alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.corpus import open_corpus
from pipeline.corpus.record_ids import with_unique_ids
from schemas.records import CorpusRecord
from tests.pipeline.corpus.corpora import picture, write_images, write_lines, write_tar

PAIR = {"1.png": picture(0), "1.txt": b"a dog"}
DEEP = {"b/1.png": picture(0), "b/1.txt": b"a dog", "c/1.png": picture(1), "c/1.txt": b"a cat"}


def ids(root: Path) -> list[str]:
    corpus = open_corpus(str(root))
    return [record.record_id for unit in corpus.units() for record in corpus.read(unit)]


def test_files_that_differ_in_their_endings(tmp_path: Path) -> None:
    root = tmp_path / "toy"
    for name in ("a.jsonl", "a.ndjson", "b.jsonl"):
        write_lines(root / name, [{"image": "1.png", "caption": "a dog", "id": 1}])
    assert ids(root) == ["toy/a.jsonl/1", "toy/a.ndjson/1", "toy/b/1"]


def test_tars_that_differ_in_their_endings(tmp_path: Path) -> None:
    import gzip

    packed = gzip.compress(write_tar(tmp_path / "toy" / "a.tar", PAIR).read_bytes())
    (tmp_path / "toy" / "a.tgz").write_bytes(packed)
    assert ids(tmp_path / "toy") == ["toy/a.tar/1", "toy/a.tgz/1"]


def test_a_folder_in_a_tar_that_is_also_beside_it(tmp_path: Path) -> None:
    write_tar(tmp_path / "toy" / "a.tar", DEEP)
    assert ids(tmp_path / "toy") == ["toy/a/b/1", "toy/a/c/1"]
    write_tar(tmp_path / "toy" / "a" / "b.tar", PAIR)
    assert sorted(ids(tmp_path / "toy")) == ["toy/a.tar/b/1", "toy/a/b/1", "toy/a/c/1"]


def test_a_list_of_captions_beside_a_folder_of_that_name(tmp_path: Path) -> None:
    rows = [{"image": "1.png", "caption": ["a dog", "a cat"], "id": "b"}]
    write_lines(tmp_path / "toy" / "a.jsonl", rows)
    rows = [{"image": "1.png", "caption": "a dog", "id": n} for n in range(2)]
    write_lines(tmp_path / "toy" / "a" / "b.jsonl", rows)
    found = sorted(ids(tmp_path / "toy"))
    assert found == ["toy/a.jsonl/b/0", "toy/a.jsonl/b/1", "toy/a/b/0", "toy/a/b/1"]


@pytest.mark.parametrize("above", ["", "deep/"])
def test_two_metadata_files_that_name_one_image(above: str, tmp_path: Path) -> None:
    root = tmp_path / "toy" / above
    write_images(root / "sub")
    rows = [{"file_name": f"{name}.png", "text": "a dog"} for name in ("sub/0", "other/1")]
    write_lines(root / "metadata.jsonl", rows)
    write_lines(root / "sub" / "metadata.jsonl", [{"file_name": "0.png", "text": "a dog"}])
    assert ids(tmp_path / "toy") == [
        f"toy/{above}metadata.jsonl/sub/0.png",
        f"toy/{above}other/1.png",
        f"toy/{above}sub/0.png",
    ]


def test_an_id_that_each_record_has_is_numbered_without_looking_back() -> None:
    """A wrong id field, such as a class: once, each record was compared with all before it."""
    many = 30_000
    named = [CorpusRecord(record_id=name, caption="a dog") for name in ["a~3", *["a"] * many]]
    found = [record.record_id for record in with_unique_ids(named)]
    assert found == ["a~3", "a", "a~2", *(f"a~{n}" for n in range(4, many + 2))]
