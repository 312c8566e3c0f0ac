"""`glipforge corpus check`: counts, reasons, repeats; and the exit code tells."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.cli import main
from pipeline.corpus import RECORDS_PER_UNIT
from tests.pipeline.corpus.corpora import picture, write_images, write_lines


def write(root: Path) -> Path:
    write_images(root)
    (root / "torn.png").write_bytes(picture(0)[:30])
    rows = [
        {"image": "0.png", "caption": "a dog"},
        {"image": "0.png", "caption": "a dog"},
        {"image": "1.png", "caption": "a red cat on a mat"},
        {"image": "torn.png", "caption": "a hat"},
        {"image": "gone.png", "caption": "a hat"},
        {"image": "2.png"},
    ]
    return write_lines(root / "pairs.jsonl", rows)


def test_what_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "toy")
    assert main(["corpus", "check", str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["records"], found["usable"]) == (6, 3)
    assert found["problems"] == {"image_corrupt": 1, "image_missing": 1, "caption_missing": 1}
    assert found["caption_words"] == {"min": 2, "median": 2, "max": 6}
    assert found["image_width"]["max"] == 12
    assert (found["repeated_captions"], found["repeated_images"]) == (1, 1)
    assert found["most_repeated"] == [{"caption": "a dog", "count": 2}]
    assert main(["corpus", "check", str(path)]) == 0
    said = capsys.readouterr().out
    assert "pairs    6, 3 usable" in said
    assert re.search(r"1 unit of work$", said, re.MULTILINE)
    assert "caption_missing           1   e.g. toy/pairs/2.png@" in said


def test_a_file_that_is_named_without_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(write(tmp_path / "toy").parent)
    for words in ([], ["--untrusted"]):
        assert main(["corpus", "check", "pairs.jsonl", "--json", *words]) == 0
        found = json.loads(capsys.readouterr().out)
        assert (found["records"], found["usable"]) == (6, 3)


def test_a_part(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["corpus", "check", str(write(tmp_path / "toy")), "--limit", "2"]) == 0
    assert "pairs    2 looked at, 2 usable" in capsys.readouterr().out


def test_a_unit_that_cannot_be_divided_is_mentioned(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = 4 * RECORDS_PER_UNIT + 1
    pictures = [picture(number) for number in range(rows)]
    table = pa.table({"image": pictures, "caption": ["a dog"] * rows})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=rows)
    assert main(["corpus", "check", str(tmp_path)]) == 0
    assert "a unit has 2,049 pairs, and a crash costs all of it" in capsys.readouterr().out
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=100)
    assert main(["corpus", "check", str(tmp_path)]) == 0
    assert "a crash costs" not in capsys.readouterr().out


def test_nothing_usable_or_nothing_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_lines(tmp_path / "pairs.jsonl", [{"image": "gone.png", "caption": "a hat"}])
    assert main(["corpus", "check", str(path)]) == 1
    assert main(["corpus", "check", str(tmp_path / "nowhere")]) == 2
    assert "does not exist" in capsys.readouterr().err
