"""Corpora in zip archives and in data sets of the hub."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import pytest

from pipeline.corpus import CorpusOptions, open_corpus
from pipeline.images.access import ImageAccess
from pipeline.images.address import ImageAddress, UriKind
from pipeline.images.fetch import read_image_uri
from schemas.errors import ConfigError, RecordError, UnitError
from schemas.records import CorpusRecord
from tests.pipeline.corpus import corpora
from tests.pipeline.corpus.hub_datasets import DatasetHub

BUILDERS = [corpora.imagefolder, corpora.jsonl, corpora.webdataset, corpora.parquet]


def zipped(folder: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder).as_posix())
        archive.writestr("__MACOSX/._0.png", b"junk")
    return path


def read(uri: object, **options: object) -> list[CorpusRecord]:
    corpus = open_corpus(str(uri), CorpusOptions(**options))  # type: ignore[arg-type]
    corpus = pickle.loads(pickle.dumps(corpus)) if options.pop("sent", False) else corpus
    return [record for unit in corpus.units() for record in corpus.read(unit)]


def image_of(record: CorpusRecord, access: ImageAccess | None = None) -> bytes:
    if record.image_bytes is not None:
        return record.image_bytes
    return read_image_uri(record.image_uri or "", access=access or ImageAccess())


@pytest.mark.parametrize("build", BUILDERS, ids=lambda build: build.__name__)
def test_a_zip_archive_is_read_as_its_folder(tmp_path: Path, build: object) -> None:
    build(tmp_path / "toy")  # type: ignore[operator]
    archive = zipped(tmp_path / "toy", tmp_path / "toy.zip")
    records = read(archive)
    assert [r.error for r in records] == [None] * 6
    assert [r.caption for r in records] == list(corpora.CAPTIONS)
    assert [r.record_id for r in records] == [r.record_id for r in read(tmp_path / "toy")]
    access = ImageAccess(untrusted=True, root=f"{archive}#")
    assert [image_of(r, access) for r in records] == [corpora.picture(n) for n in range(6)]


def test_what_a_zip_may_do(tmp_path: Path) -> None:
    corpora.imagefolder(tmp_path / "toy")
    archive = zipped(tmp_path / "toy", tmp_path / "a.zip")
    record = read(archive, untrusted=True)[0]
    assert ImageAddress.of(record.image_uri or "").kind is UriKind.ARCHIVE
    with pytest.raises(RecordError, match="is not below the corpus, and the corpus is untrusted"):
        image_of(record, ImageAccess(untrusted=True, root=str(tmp_path / "toy")))
    with pytest.raises(RecordError, match="a.zip#gone.png does not exist"):
        read_image_uri(f"{archive}#gone.png")
    plain = tmp_path / "odd.zip#name.png"
    plain.write_bytes(b"here")
    assert read_image_uri(str(plain)) == b"here"  # a file of such a name is that file
    (tmp_path / "b.zip").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(ConfigError, match="b.zip is not a readable zip archive"):
        read(tmp_path / "b.zip")
    data = bytearray(archive.read_bytes())
    start = data.index(corpora.picture(2)[:4])
    data[start + 90 : start + 95] = b"     "
    archive.write_bytes(bytes(data))
    failures = []
    for one in read(archive):
        try:
            image_of(one)
        except RecordError as error:
            failures.append(error.detail)
    assert failures
    assert all("cannot be read" in detail for detail in failures)


def test_an_archive_that_changed_is_not_the_one_of_the_plan(tmp_path: Path) -> None:
    corpora.imagefolder(tmp_path / "toy")
    archive = zipped(tmp_path / "toy", tmp_path / "a.zip")
    corpus = open_corpus(str(archive))
    (unit,) = corpus.units()
    (tmp_path / "toy" / "metadata.jsonl").write_text('{"file_name": "a", "text": "b"}\n')
    zipped(tmp_path / "toy", archive)
    with pytest.raises(UnitError, match="changed since the run was planned"):
        list(corpus.read(unit))


@pytest.mark.parametrize("build", BUILDERS, ids=lambda build: build.__name__)
def test_a_data_set_of_the_hub(
    tmp_path: Path, build: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(tmp_path / "me" / build.__name__ / "data")  # type: ignore[operator, attr-defined]
    with DatasetHub(tmp_path) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        root = f"hf://datasets/me/{build.__name__}/data"  # type: ignore[attr-defined]
        records = read(root)
        assert [r.error for r in records] == [None] * 6
        assert [r.caption for r in records] == list(corpora.CAPTIONS)
        assert [image_of(r) for r in records] == [corpora.picture(n) for n in range(6)]
        with pytest.raises(ConfigError, match="hf://datasets/me/nothing.* does not exist"):
            read("hf://datasets/me/nothing")
