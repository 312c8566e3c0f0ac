"""COCO captions, img2dataset and others whose kind shows only in their files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.corpus import CorpusOptions, open_corpus
from pipeline.corpus import corpus as corpus_module
from schemas.errors import ConfigError
from schemas.records import Status
from tests.pipeline.corpus.corpora import (
    CAPTIONS,
    WRITERS,
    picture,
    write_images,
    write_tar,
)
from tests.pipeline.corpus.test_open import pixels, read_all


def test_coco_images_that_are_nowhere(tmp_path: Path) -> None:
    path = WRITERS["coco-captions"](tmp_path / "toy")
    (tmp_path / "toy" / "val2017").rename(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match=r"its images \(0.png, 1.png, ...\) are in none of"):
        open_corpus(str(path))
    options = CorpusOptions(image_root=str(tmp_path / "elsewhere"))
    assert len(read_all(open_corpus(str(path), options))) == 6


def coco_beside_images(root: Path) -> Path:
    write_images(root / "images")
    images = [{"id": n, "file_name": f"{n}.png"} for n in range(len(CAPTIONS))]
    annotations = [{"id": n, "image_id": n, "caption": text} for n, text in enumerate(CAPTIONS)]
    (root / "captions.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    boxes = [{"id": 0, "image_id": 0, "bbox": [0, 0, 1, 1]}]
    (root / "instances.json").write_text(json.dumps({"images": images, "annotations": boxes}))
    (root / "licence.json").write_text("{}")
    return root


def test_coco_captions_beside_their_images(tmp_path: Path) -> None:
    corpus = open_corpus(str(coco_beside_images(tmp_path / "toy")))
    records = read_all(corpus)
    assert corpus.format == "coco-captions"
    assert [record.caption for record in records] == list(CAPTIONS)
    assert [pixels(record) for record in records] == [picture(n) for n in range(len(CAPTIONS))]


def test_coco_captions_and_text_files_are_two_kinds(tmp_path: Path) -> None:
    root = coco_beside_images(tmp_path / "toy")
    (root / "images" / "0.txt").write_text("a dog")
    with pytest.raises(ConfigError, match=r"--format imagefolder or --format coco-captions"):
        open_corpus(str(root))
    assert len(read_all(open_corpus(str(root), CorpusOptions(format="imagefolder")))) == 6


def test_json_beside_each_image_is_no_coco(tmp_path: Path) -> None:
    write_images(tmp_path / "toy")
    for number, caption in enumerate(CAPTIONS):
        row = {"caption": caption, "images": [], "annotations": []}
        (tmp_path / "toy" / f"{number}.json").write_text(json.dumps(row))
    assert [r.caption for r in read_all(open_corpus(str(tmp_path / "toy")))] == list(CAPTIONS)


def test_downloads_that_failed_are_rows(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    root = WRITERS["img2dataset"](tmp_path / "toy")
    table = pa.table(
        {
            "key": ["000", "001", "002", "900"],
            "status": ["success"] * 3 + ["failed_to_download"],
            "error_message": [None, None, None, "HTTP Error 404"],
            "caption": ["x", "x", "x", "a lost dog"],
            "url": ["", "", "", "http://gone/1.jpg"],
        }
    )
    pq.write_table(table, root / "00000.parquet")
    records = read_all(open_corpus(str(root)))
    assert len(records) == 7
    (lost,) = [record for record in records if record.error]
    assert lost.record_id == "toy/00000/900"
    assert lost.caption == "a lost dog"
    assert lost.image_uri == "http://gone/1.jpg"
    assert lost.error == (
        Status.IMAGE_MISSING,
        "img2dataset did not get it: failed_to_download: HTTP Error 404",
    )


@pytest.mark.parametrize("split_from", [1, 2**30])
def test_downloads_that_are_not_in_the_tar_are_rows(
    split_from: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus_module, "SPLIT_MIN_BYTES", split_from)
    root = WRITERS["img2dataset"](tmp_path / "toy")
    members = {"000.png": picture(0), "000.txt": b"a dog", "002.png": picture(2)}
    write_tar(root / "00000.tar", members | {"002.txt": b"a cat"})
    corpus = open_corpus(str(root))
    records = read_all(corpus, 1)
    assert len(records) == 6
    (lost,) = [record for record in records if record.error]
    assert (lost.record_id, lost.caption) == ("toy/00000/001", "x")
    detail = "img2dataset got it, but its sample is not in the shard"
    assert lost.error == (Status.IMAGE_MISSING, detail)
    for unit in corpus.units(1):
        assert unit.num_records in (-1, len(list(corpus.read(unit))))
