"""Several corpora in one run: nothing lost, nothing doubled, each read as by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.corpus.joined import open_corpora
from pipeline.corpus.open import open_corpus
from pipeline.corpus.options import CorpusOptions
from schemas.errors import ConfigError
from schemas.records import Status
from tests.pipeline.corpus.corpora import (
    CAPTIONS,
    imagefolder,
    jsonl,
    picture,
    webdataset,
    write_tar,
)

OPTIONS = CorpusOptions()


def ids(corpus) -> list[str]:
    return [r.record_id for unit in corpus.units(2) for r in corpus.read(unit)]


def test_the_records_of_each_under_their_own_ids(tmp_path: Path) -> None:
    uris = [str(imagefolder(tmp_path / "a")), str(jsonl(tmp_path / "b"))]
    uris.append(str(webdataset(tmp_path / "c")))
    joined = open_corpora(uris, OPTIONS)
    alone = [record for uri in uris for record in ids(open_corpus(uri))]
    assert ids(joined) == alone
    assert len(set(alone)) == 3 * len(CAPTIONS)
    units = [unit.unit_id for unit in joined.units(2)]
    assert len(set(units)) == len(units)
    assert joined.format == "imagefolder + jsonl + webdataset"
    assert len(joined.inputs()) == sum(len(open_corpus(uri).inputs()) for uri in uris)


def test_one_is_itself(tmp_path: Path) -> None:
    uri = str(imagefolder(tmp_path / "a"))
    assert open_corpora([uri], OPTIONS).fingerprint() == open_corpus(uri).fingerprint()


def test_folders_of_one_name_are_told_apart_by_the_one_above(tmp_path: Path) -> None:
    uris = [str(imagefolder(tmp_path / part / "photos")) for part in ("train", "val")]
    found = ids(open_corpora(uris, OPTIONS))
    assert {record.split("/")[0] for record in found} == {"train-photos", "val-photos"}
    assert len(set(found)) == 2 * len(CAPTIONS)


def test_what_cannot_be_told_apart_is_refused(tmp_path: Path) -> None:
    uri = str(imagefolder(tmp_path / "a"))
    with pytest.raises(ConfigError, match="--corpus .*a is given twice"):
        open_corpora([uri, uri], OPTIONS)
    for other in (f"{uri}/", f"{uri}/../a", f"{uri}/metadata.jsonl"):
        with pytest.raises(ConfigError, match=r"both hold .*/metadata.jsonl: its pairs would be"):
            open_corpora([uri, other], OPTIONS)
    deep = [str(imagefolder(tmp_path / top / "x" / "photos")) for top in "pq"]
    with pytest.raises(ConfigError, match="are all named 'x-photos'"):
        open_corpora(deep, OPTIONS)
    with pytest.raises(ConfigError, match="--source names one corpus"):
        open_corpora([uri, deep[0]], CorpusOptions(source="s"))


def test_files_of_one_folder_give_their_names(tmp_path: Path) -> None:
    first = jsonl(tmp_path / "photos")
    first.with_name("more {2}.jsonl").write_bytes(first.read_bytes())
    found = ids(open_corpora([str(first), str(first.with_name("m*.jsonl"))], OPTIONS))
    assert {record.split("/")[0] for record in found} == {"photos-pairs", "photos-m_"}
    assert len(set(found)) == 2 * len(CAPTIONS)


def test_images_alone_keep_their_bytes_where_captions_are_absent(tmp_path: Path) -> None:
    tar = write_tar(tmp_path / "t" / "0.tar", {"a.png": picture(0), "b.png": picture(1)})
    corpus = open_corpora([str(tar)], CorpusOptions(captions="none"))
    records = [r for unit in corpus.units(8) for r in corpus.read(unit)]
    assert [r.error for r in records] == [None, None]
    assert records[0].image_bytes == picture(0)
    captioned = open_corpora([str(tar)], OPTIONS)
    (first, _) = [r for unit in captioned.units(8) for r in captioned.read(unit)]
    assert first.error is not None
    assert first.error[0] is Status.CAPTION_MISSING


@pytest.mark.parametrize("write", [imagefolder, jsonl, webdataset])
def test_images_alone_are_one_record_each(write, tmp_path: Path) -> None:
    corpus = open_corpus(str(write(tmp_path / "c")), CorpusOptions(captions="none"))
    records = [r for unit in corpus.units(4) for r in corpus.read(unit)]
    assert len(records) == len(CAPTIONS)
    assert {(r.caption, r.error) for r in records} == {(None, None)}
