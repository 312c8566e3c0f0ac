"""A folder of images without a list, which changes while it is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.corpus import open_corpus
from schemas.plan import Plan
from schemas.records import Status
from tests.pipeline.corpus.corpora import CAPTIONS, image_files, picture, write_images


def test_a_file_that_comes_or_goes_moves_no_other(tmp_path: Path) -> None:
    root = image_files(tmp_path / "toy")
    corpus = open_corpus(str(root))
    units = corpus.units(2)
    before = [record for unit in units for record in corpus.read(unit)]
    (root / "a" / "00.png").write_bytes(picture(0))  # sorts in the middle
    (root / "a" / "3.png").unlink()
    after = [record for unit in units for record in corpus.read(unit)]
    assert [r.record_id for r in after] == [r.record_id for r in before]
    assert [r.caption for r in after] == list(CAPTIONS)
    (gone,) = [record for record in after if record.error]
    assert gone.record_id == "toy/a/3.png"
    detail = f"{root}/a/3.png is gone since the run was planned"
    assert gone.error == (Status.IMAGE_MISSING, detail)


def test_a_pattern_reads_what_it_matches(tmp_path: Path) -> None:
    root = image_files(tmp_path / "toy")
    corpus = open_corpus(f"{root}/a/[24].png")
    records = [record for unit in corpus.units() for record in corpus.read(unit)]
    assert [record.caption for record in records] == [CAPTIONS[2], CAPTIONS[4]]


@pytest.mark.parametrize("place", ["here", "there/deeper"])
def test_unit_ids_do_not_know_where_the_folder_is(place: str, tmp_path: Path) -> None:
    write_images(tmp_path / place / "toy")
    (unit,) = open_corpus(str(tmp_path / place / "toy")).units()
    assert unit.unit_id == "unit-e3b0c442-000000000000"


def test_the_plan_keeps_the_names(tmp_path: Path) -> None:
    corpus = open_corpus(str(image_files(tmp_path / "toy")))
    plan = Plan(
        corpus=corpus.uri,
        corpus_format=corpus.format,
        inputs=corpus.inputs(),
        units=corpus.units(4),
        config={},
    )
    again = Plan.from_json(plan.to_json(), where="plan")
    assert again.units == plan.units
    assert [unit.names for unit in again.units] == [
        ("0.png", "1.png", "2.png", "3.png"),
        ("4.png", "5.png"),
    ]


def test_a_table_beside_the_images_is_named(tmp_path: Path) -> None:
    root = image_files(tmp_path / "toy")
    assert "not read" not in open_corpus(str(root)).explanation
    (root / "captions.csv").write_text("image,caption\n")
    found = open_corpus(str(root)).explanation
    assert "not read: captions.csv (it has no rows): a table of captions needs a header" in found
