"""Keys of tars that were packed from names with dots, and what macOS adds."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from pipeline.corpus import corpus as corpus_module
from pipeline.corpus.open import open_corpus
from tests.pipeline.corpus.corpora import picture, write_tar


def test_dotted_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus_module, "SPLIT_MIN_BYTES", 1)
    members = {}
    for number in range(5):
        members[f"clip/frame.v1.{number:04d}.jpg"] = picture(number)
        members[f"clip/frame.v1.{number:04d}.txt"] = f"a dog{number}".encode()
    corpus = open_corpus(str(write_tar(tmp_path / "0.tar", members)))
    assert "keys hold dots" in corpus.explanation
    assert corpus.fingerprint()["has_dotted_keys"] is True
    for size in (2, 512):
        records = [r for unit in corpus.units(size) for r in corpus.read(unit)]
        assert [r.caption for r in records] == [f"a dog{n}" for n in range(5)]
        assert [r.image_bytes for r in records] == [picture(n) for n in range(5)]
    assert records[0].record_id.endswith("/clip/frame.v1.0000")


def test_webdatasets_own_rule_comes_first(tmp_path: Path) -> None:
    members = {"a.jpg": picture(0), "a.seg.jpg": picture(1), "a.txt": b"a dog"}
    members |= {"__MACOSX/a.jpg": b"junk", "b.jpg": picture(2), "b.txt": b"a cat"}
    corpus = open_corpus(str(write_tar(tmp_path / "0.tar", members)))
    records = [r for unit in corpus.units() for r in corpus.read(unit)]
    assert [(r.caption, r.error) for r in records] == [("a dog", None), ("a cat", None)]
    assert "has_dotted_keys" not in corpus.fingerprint()


def test_a_packed_tar_is_unpacked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Going back in it begins at its start again: with each sample all before it."""
    members = {}
    for number in range(20):
        # Not in the order in which they are wanted, and larger than what is read ahead.
        members[f"{number}.json"] = b'{"caption": "a cat"}' + b" " * 200_000
        members[f"{number}.txt"] = f"a dog{number}".encode()
        members[f"{number}.jpg"] = picture(number)
    plain = write_tar(tmp_path / "0.tar", members)
    (tmp_path / "0.tar.gz").write_bytes(gzip.compress(plain.read_bytes(), 1))
    plain.unlink()
    rewinds: list[int] = []
    reader = gzip._GzipReader  # type: ignore[attr-defined]
    monkeypatch.setattr(reader, "_rewind", lambda self: rewinds.append(1))
    corpus = open_corpus(str(tmp_path / "0.tar.gz"))
    records = [r for unit in corpus.units() for r in corpus.read(unit)]
    assert [r.caption for r in records] == [f"a dog{n}" for n in range(20)]
    assert [r.image_bytes for r in records] == [picture(n) for n in range(20)]
    assert not rewinds


@pytest.mark.parametrize("damage", ["something behind it", "cut off"])
def test_the_sample_before_damaged_gzip_is_kept(damage: str, tmp_path: Path) -> None:
    members = {}
    for number in range(3):
        members |= {f"{number}.jpg": picture(number), f"{number}.txt": f"a dog{number}".encode()}
    plain = write_tar(tmp_path / "0.tar", members)
    packed = gzip.compress(plain.read_bytes(), 0)
    plain.unlink()
    cut = packed[: packed.index(b"a dog2") + 2]
    path = tmp_path / "0.tar.gz"
    path.write_bytes(cut if damage == "cut off" else packed + b"something else")
    corpus = open_corpus(str(path))
    records = [r for unit in corpus.units() for r in corpus.read(unit)]
    assert [r.caption for r in records[:2]] == ["a dog0", "a dog1"]
    assert "damaged gzip data" in str(records[3].error)
    assert len(records) == 4
    if damage == "cut off":
        assert "ends inside its member '2.txt'" in str(records[2].error)
    else:
        assert (records[2].caption, records[2].error) == ("a dog2", None)
