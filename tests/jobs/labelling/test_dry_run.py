from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jobs.cli import main
from jobs.labelling.dry_run import Estimate, describe, draw_records, pictures_folder
from pipeline.corpus import open_corpus


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    folder = tmp_path / "pairs"
    folder.mkdir()
    for number in range(9):
        Image.new("RGB", (64, 48), (20 * number, 90, 30)).save(folder / f"{number}.png")
        (folder / f"{number}.txt").write_text("a red ball beside a dog")
    (folder / "8.png").write_bytes(b"no picture")
    return folder


def test_it_tells_what_all_would_take_and_writes_no_run(
    pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    command = ["label", "--corpus", str(pairs), "--out", str(out), "--runner", "local"]
    assert main([*command, "--dry-run", "9"]) == 0
    said = capsys.readouterr().out
    assert "dry run  9 of 9 pairs" in said
    assert "image_corrupt 1" in said
    assert "found    2.0 phrases" in said
    assert "images/s for one CPU worker: the corpus takes" in said
    assert not out.exists()


@pytest.mark.parametrize("number", ["0", "-1"])
def test_a_number_that_is_none(number: str, pairs: Path, tmp_path: Path, capsys) -> None:
    command = ["label", "--corpus", str(pairs / "none"), "--out", str(tmp_path / "run")]
    assert main([*command, "--dry-run", number]) == 2
    if number == "-1":
        assert "--dry-run must be 0 or more records, got -1" in capsys.readouterr().err


def test_records_are_drawn_from_several_units_and_each_once(pairs: Path) -> None:
    corpus = open_corpus(str(pairs))
    units = corpus.units(3)
    drawn, per_unit = draw_records(corpus, units, 5, np.random.default_rng(0))
    ids = [record.record_id for record in drawn]
    assert len(set(ids)) == len(ids) == 5
    assert per_unit == 3
    everything, _ = draw_records(corpus, units, 100, np.random.default_rng(0))
    assert len(everything) == 9
    assert draw_records(corpus, [], 5, np.random.default_rng(0)) == ([], 0.0)


def test_what_a_small_unit_lacks_is_drawn_from_the_others(pairs: Path) -> None:
    corpus = open_corpus(str(pairs))
    units = corpus.units(4)
    assert [unit.stop - unit.start for unit in units] == [4, 4, 1]
    for seed in range(6):
        drawn, _ = draw_records(corpus, units, 8, np.random.default_rng(seed))
        assert len({record.record_id for record in drawn}) == 8


def test_the_estimate_scales_to_the_corpus() -> None:
    found = Estimate(rows=(), num_records=7.2e6, is_counted=False, seconds=0.0, num_bytes=0)
    assert found.gigabytes == 0
    assert any(line.startswith("dry run  0 of about 7,200,000") for line in describe(found, "cpu"))


@pytest.mark.parametrize(
    "out, folder", [("runs/1", "runs/1-dry-run"), ("s3://bucket/runs/1/", "1-dry-run")]
)
def test_pictures_lie_beside_the_run(out: str, folder: str) -> None:
    assert str(pictures_folder(out)).endswith(folder)
