"""Sizes that no member has: the archive's good samples stay, the rest is a row with a reason."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from pipeline.corpus import open_corpus
from pipeline.images.fetch import read_image_uri
from pipeline.storage import tar_members
from schemas.errors import RecordError
from schemas.records import CorpusRecord, Status
from tests.corpus_builders import picture_bytes


def _member(name: str, data: bytes, pax: dict[str, str] | None = None) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    info.pax_headers = pax or {}
    padding = bytes(-len(data) % tar_members.BLOCK)
    return info.tobuf(tarfile.PAX_FORMAT) + data + padding


def _with_size_field(header: bytes, field: bytes) -> bytes:
    """A header whose twelve bytes of size are `field`, its checksum right."""
    block = bytearray(header[: tar_members.BLOCK])
    block[124:136] = field
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def _extended(data: bytes) -> bytes:
    """A PAX header with these bytes in it."""
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, len(data)
    return info.tobuf(tarfile.USTAR_FORMAT) + data + bytes(-len(data) % tar_members.BLOCK)


def _base256(value: int) -> bytes:
    return b"\x80" + value.to_bytes(11, "big")


ODD = {
    "base-256 2^70": _with_size_field(_member("1.txt", b""), _base256(2**70)),
    "base-256 2^63": _with_size_field(_member("1.txt", b""), _base256(2**63)),
    "base-256 2^51": _with_size_field(_member("1.txt", b""), _base256(2**45)),
    "base-256 negative": _with_size_field(_member("1.txt", b""), b"\xff" * 12),
    "pax 4301 digits": _member("1.txt", b"a dog", {"size": "9" * 4301}),
    "pax 30 digits": _member("1.txt", b"a dog", {"size": "9" * 30}),
    "pax superscript": _member("1.txt", b"a dog", {"size": "\u00b2"}),
    "pax other digits": _member("1.txt", b"a dog", {"size": "\u0665"}),
    "pax negative": _member("1.txt", b"a dog", {"size": "-1"}),
    "pax float": _member("1.txt", b"a dog", {"size": "1e9"}),
    "pax empty": _member("1.txt", b"a dog", {"size": ""}),
    "pax length of 5000 digits": _extended(b"9" * 5000 + b" a=b\n") + _member("1.txt", b""),
}


def _records(folder: Path, data: bytes, ending: str = ".tar") -> list[CorpusRecord]:
    folder.mkdir(exist_ok=True)
    (folder / f"0{ending}").write_bytes(data)
    corpus = open_corpus(str(folder))
    return [record for unit in corpus.units() for record in corpus.read(unit)]


@pytest.mark.parametrize("name", ODD)
def test_a_size_out_of_range_costs_only_what_follows(name: str, tmp_path: Path) -> None:
    good = _member("0.png", picture_bytes(1)) + _member("0.txt", b"a dog")
    after = _member("2.png", picture_bytes(2)) + _member("2.txt", b"a cat") + bytes(1024)
    first, *rest = _records(tmp_path / "toy", good + ODD[name] + after)
    assert (first.caption, first.error) == ("a dog", None)
    assert rest
    status, detail = rest[-1].error or ("", "")
    assert status is Status.RECORD_INVALID
    assert "what may follow is lost" in detail
    assert len(detail) < 400


def test_a_size_beyond_the_file_takes_no_memory(tmp_path: Path) -> None:
    huge = _with_size_field(_member("1.txt", b""), _base256(2**42))
    good = _member("0.png", picture_bytes(1)) + _member("0.txt", b"a dog")
    records = _records(tmp_path / "toy", good + huge + b"a dog")
    assert records[0].error is None
    assert all(record.error for record in records[1:])
    with pytest.raises(RecordError, match="has 4,398,046,511,104 bytes; at most"):
        read_image_uri(f"{tmp_path}/toy/0.tar#1.txt")


@pytest.mark.parametrize("ending", [".tar", ".tar.gz"])
def test_a_member_larger_than_an_image_is_not_read(
    ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gzip

    monkeypatch.setattr("pipeline.corpus.formats.webdataset.MAX_IMAGE_MEMBER", 10_000)
    monkeypatch.setattr("pipeline.corpus.formats.webdataset.MAX_TEXT_MEMBER", 1000)
    data = b"".join(
        (
            _member("0.png", bytes(10_001)),
            _member("0.txt", b"a dog"),
            _member("1.png", picture_bytes(1)),
            _member("1.txt", b"a" * 1001),
            _member("2.png", picture_bytes(2)),
            _member("2.txt", b"a cat"),
            bytes(1024),
        )
    )
    if ending == ".tar.gz":
        data = gzip.compress(data)
    first, second, third = _records(tmp_path / "toy", data, ending)
    assert first.error is not None
    assert first.error[0] is Status.IMAGE_TOO_LARGE
    assert "10,001 bytes" in first.error[1]
    assert second.error is not None
    assert "1,001 bytes" in second.error[1]
    assert third.error is None


def test_more_is_not_read_than_there_is() -> None:
    assert tar_members.read_exactly(io.BytesIO(b"abc"), 0, 1 << 60) is None
    assert tar_members.read_exactly(io.BytesIO(b"abc"), 1, 2) == b"bc"
    assert tar_members.read_exactly(io.BytesIO(b"abc"), 3, 0) == b""


SPARSE = {
    "GNU.sparse.major": "1",
    "GNU.sparse.minor": "0",
    "GNU.sparse.name": "2.png",
    "GNU.sparse.realsize": "99999999",
}


@pytest.mark.parametrize("kind", ["gnu", "pax 1.0", "pax 0.1"])
def test_a_sparse_file_costs_its_own_sample(kind: str, tmp_path: Path) -> None:
    """GNU tar's `--sparse`: maps of many holes go on in blocks behind the header."""
    holes = b"1\n0\n9\n" + bytes(505)
    if kind == "gnu":
        info = tarfile.TarInfo("2.png")
        info.type, info.size = tarfile.GNUTYPE_SPARSE, 512
        block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
        block[482] = 1
        block[148:156] = b" " * 8
        block[148:156] = b"%06o\0 " % sum(block)
        more = bytes(504) + b"\1" + bytes(7)
        sparse = bytes(block) + more + bytes(512) + bytes(512)
    elif kind == "pax 1.0":
        sparse = _member("./GNUSparseFile.7/2.png", holes, SPARSE)
    else:
        sparse = _member("2.png", holes, {"GNU.sparse.map": "0,9", "GNU.sparse.size": "99"})
    good = [_member(f"{n}.png", picture_bytes()) + _member(f"{n}.txt", b"a dog") for n in (1, 3)]
    data = good[0] + sparse + _member("2.txt", b"a cat") + good[1] + bytes(1024)
    (tmp_path / "x.tar").write_bytes(data)
    corpus = open_corpus(str(tmp_path))
    found = [record for unit in corpus.units() for record in corpus.read(unit)]
    assert [record.error and record.error[1] for record in found] == [
        None,
        "the member '2.png' is a sparse file",
        None,
    ]
