"""Every format: found by looking, the same pairs, however it is divided; wrong usage says what."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from pipeline.corpus import Corpus, CorpusOptions, open_corpus
from pipeline.corpus import corpus as corpus_module
from pipeline.images.fetch import read_image_uri
from schemas.errors import ConfigError
from schemas.records import CorpusRecord
from tests.pipeline.corpus.corpora import (
    CAPTIONS,
    WRITERS,
    imagefolder,
    picture,
    write_lines,
    write_tar,
)


def read_all(corpus: Corpus, records_per_unit: int = 512) -> list[CorpusRecord]:
    return [r for unit in corpus.units(records_per_unit) for r in corpus.read(unit)]


def pixels(record: CorpusRecord) -> bytes:
    return record.image_bytes or read_image_uri(record.image_uri or "")


@pytest.fixture
def divide_small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus_module, "SPLIT_MIN_BYTES", 1)


@pytest.mark.parametrize("name", WRITERS)
def test_six_pairs_with_their_pictures(name: str, tmp_path: Path) -> None:
    corpus = open_corpus(str(WRITERS[name](tmp_path / "toy")))
    records = read_all(corpus)
    assert [record.caption for record in records] == list(CAPTIONS)
    assert [pixels(record) for record in records] == [picture(n) for n in range(len(CAPTIONS))]
    assert [record.error for record in records] == [None] * 6
    assert len({record.record_id for record in records}) == 6
    assert corpus.explanation
    # What the row of a picture names must be readable again, for review and training.
    for number, record in enumerate(records):
        assert record.image_uri is not None
        assert read_image_uri(record.image_uri) == picture(number)


@pytest.mark.usefixtures("divide_small_files")
@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("size", [1, 2, 4, 100])
def test_units_change_nothing_but_the_division(name: str, size: int, tmp_path: Path) -> None:
    corpus = open_corpus(str(WRITERS[name](tmp_path / "toy")))
    whole = read_all(corpus)
    assert read_all(corpus, size) == whole
    units = corpus.units(size)
    assert len({unit.unit_id for unit in units}) == len(units)
    for unit in units:
        assert unit.num_records in (-1, len(list(corpus.read(unit))))
    if size == 1:
        assert len(units) >= 3


@pytest.mark.parametrize("name", WRITERS)
def test_a_worker_reads_what_the_driver_planned(name: str, tmp_path: Path) -> None:
    corpus = open_corpus(str(WRITERS[name](tmp_path / "toy")))
    sent = pickle.loads(pickle.dumps(corpus))
    assert [r for unit in corpus.units() for r in sent.read(unit)] == read_all(corpus)
    assert sent.fingerprint() == corpus.fingerprint()
    with pytest.raises(RuntimeError, match="sent to a worker"):
        sent.inputs()


@pytest.mark.parametrize(
    "name, shape",
    [("webdataset", "*.tar"), ("webdataset", "{00000..00001}.tar"), ("parquet", "*.parquet")],
)
def test_patterns(name: str, shape: str, tmp_path: Path) -> None:
    root = WRITERS[name](tmp_path / "toy")
    corpus = open_corpus(f"{root}/{shape}")
    assert [record.caption for record in read_all(corpus)] == list(CAPTIONS)
    assert read_all(corpus)[0].record_id.startswith("toy/")


def test_hidden_files_are_no_corpus(tmp_path: Path) -> None:
    root = imagefolder(tmp_path / "toy")
    (root / ".cache").mkdir()
    (root / ".cache" / "metadata.jsonl").write_text("nonsense")
    (root / "__MACOSX").mkdir()
    (root / "__MACOSX" / "metadata.jsonl").write_text("nonsense")
    assert len(read_all(open_corpus(str(root)))) == 6


@pytest.mark.parametrize(
    "make, options, said",
    [
        (lambda root: None, {}, r"corpus '.*toy' does not exist"),
        (
            lambda root: root.mkdir(),
            {},
            r"nothing in it is a corpus that is read.*there is: no file",
        ),
        (
            lambda root: (root.mkdir(), (root / "a.doc").write_text("")),
            {},
            r"an image folder with or without metadata.jsonl.*there is: 1 \.doc",
        ),
        (
            lambda root: (WRITERS["webdataset"](root), WRITERS["parquet"](root)),
            {},
            r"several kinds of data \(webdataset, parquet\): choose one with --format",
        ),
        (
            lambda root: WRITERS["parquet"](root),
            {"format": "webdataset"},
            r"holds no webdataset data \(files that end in .tar, .tar.gz, .tgz\).*1 \.parquet",
        ),
        (
            lambda root: WRITERS["parquet"](root),
            {"caption_field": "alt"},
            r"caption_field 'alt' is not in .*'image', 'caption'",
        ),
        (
            lambda root: WRITERS["imagefolder"](root),
            {"image_field": "photo"},
            r"image_field 'photo' is not in .*'file_name', 'text'",
        ),
        (
            lambda root: WRITERS["image-files"](root),
            {"id_field": "id"},
            r"id_field: .* is a folder of images without a metadata.jsonl",
        ),
    ],
)
def test_wrong_usage_says_what_is_there(make, options, said: str, tmp_path: Path) -> None:
    make(tmp_path / "toy")
    with pytest.raises(ConfigError, match=said):
        open_corpus(str(tmp_path / "toy"), CorpusOptions(**options))


@pytest.mark.parametrize(
    "options, said",
    [
        ({"format": "zip"}, r"format must be auto or one of .*img2dataset, got 'zip'"),
        ({"captions": ""}, r"captions must be all, first or none, got ''"),
        ({"max_caption_chars": 0}, r"max_caption_chars must be at least 1, got 0"),
        ({"source": ""}, r"source must not be empty"),
    ],
)
def test_options_are_checked(options, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        CorpusOptions(**options)


def test_units_of_nothing_are_refused(tmp_path: Path) -> None:
    corpus = open_corpus(str(imagefolder(tmp_path / "toy")))
    with pytest.raises(ConfigError, match="records_per_unit must be at least 1, got 0"):
        corpus.units(0)


def test_source_is_the_first_part_of_every_id(tmp_path: Path) -> None:
    root = write_tar(tmp_path / "toy" / "0.tar", {"a.png": picture(0), "a.txt": b"x"})
    (named,) = read_all(open_corpus(str(root), CorpusOptions(source="cc12m")))
    (unnamed,) = read_all(open_corpus(str(root)))
    assert (named.record_id, unnamed.record_id) == ("cc12m/0/a", "toy/0/a")


@pytest.mark.parametrize("name", ["webdataset", "parquet", "jsonl"])
def test_shards_of_unlike_sizes_give_even_units(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    monkeypatch.setattr("pipeline.corpus.corpus.SPLIT_MIN_BYTES", 1)
    root = tmp_path / "toy"
    root.mkdir()
    for shard, size in enumerate((3, 200, 11)):
        keys = [f"{shard}-{n:04d}" for n in range(size)]
        if name == "webdataset":
            members = {f"{key}.png": picture(0) for key in keys}
            members |= {f"{key}.txt": b"a dog" for key in keys}
            write_tar(root / f"{shard}.tar", dict(sorted(members.items())))
        elif name == "parquet":
            table = pa.table({"image": [picture(0)] * size, "caption": ["a dog"] * size})
            pq.write_table(table, root / f"{shard}.parquet", row_group_size=4)
        else:
            rows = [{"image": "0.png", "caption": "a dog", "id": key} for key in keys]
            write_lines(root / f"{shard}.jsonl", rows)
    corpus = open_corpus(str(root))
    units = corpus.units(20)
    sizes = [len(list(corpus.read(unit))) for unit in units]
    assert sum(sizes) == 214
    # A file is never joined with another: the two small ones are a unit each.
    assert len(units) in (12, 13), sizes
    assert max(sizes) <= 24, sizes


@pytest.mark.parametrize("named, read", [(None, "a dog"), ("captions", "a cat")])
def test_two_fields_of_captions_are_said(named: str | None, read: str, tmp_path: Path) -> None:
    root = tmp_path / "toy"
    root.mkdir()
    row = {"image": "0.png", "caption": "a dog", "captions": ["a cat"]}
    write_lines(root / "rows.jsonl", [row])
    corpus = open_corpus(str(root), CorpusOptions(caption_field=named))
    assert [record.caption for record in read_all(corpus, 1)] == [read]
    said = "; not read: 'captions' (--caption-field captions takes it)"
    assert (said in corpus.explanation) == (named is None)


def test_ids_do_not_know_where_images_lie(tmp_path: Path) -> None:
    root = tmp_path / "toy"
    root.mkdir()
    write_lines(root / "rows.jsonl", [{"image": f"{tmp_path}/far/0.png", "caption": "a dog"}])
    (record,) = read_all(open_corpus(str(root)), 1)
    assert record.record_id == "toy/rows/0.png@0"
