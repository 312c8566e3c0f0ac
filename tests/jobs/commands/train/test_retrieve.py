"""`glipforge retrieve`: on drawn scenes the shipped teacher knows which caption is whose."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jobs.cli import main
from schemas.errors import RecordError
from schemas.records import Status


def test_the_right_caption_comes_first_far_more_often_than_by_chance(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world, out = tmp_path / "w", tmp_path / "found.json"
    draw = ["demo", "world", "--out", str(world), "--scenes", "8", "--pools", "seen"]
    assert main([*draw, "--flaws", "2"]) == 0
    capsys.readouterr()
    assert (
        main(["retrieve", str(world), "--limit", "10", "--device", "cpu", "--out", str(out)]) == 0
    )
    shown = capsys.readouterr().out
    assert "image to caption  R@1" in shown
    assert "chance" in shown
    found = json.loads(out.read_text())
    size = len(found["images"])
    assert 5 <= size <= 8
    assert sum(found["left_out"].values()) == 2
    assert np.array(found["scores"]).shape == (size, len(found["captions"]))
    for figure in found["figures"]:
        assert figure["recall"]["1"]["value"] > 2 * figure["chance"]["1"]


class _Teacher:
    """Answers NaN for images with a red corner, and knows nothing of the others."""

    teacher_id, note = "fake@1", ""

    def best_scores(self, images: Sequence[Any], captions: Sequence[Any]) -> list[list[Any]]:
        if any(image[0, 0, 0] > 200 for image in images):
            raise RecordError(Status.TEACHER_FAILED, "a score of NaN")
        return [[np.full(len(spans), 0.5, np.float32) for _, spans in captions] for _ in images]


def test_an_image_that_the_teacher_fails_on_costs_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model.teacher.load.load_teacher", lambda *args, **options: _Teacher())
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, red in enumerate((10, 250, 90)):
        Image.new("RGB", (40, 30), (red, 9, 9)).save(folder / f"{number}.png")
        (folder / f"{number}.txt").write_text("a red ball")
    assert main(["retrieve", str(folder), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [name.rsplit("/", 1)[-1] for name in found["images"]] == ["0.png", "2.png"]
    assert (found["image_of"], found["left_out"]) == ([0, 1], {"teacher_failed": 1})
    (folder / "0.png").unlink()
    assert main(["retrieve", str(folder)]) == 2
    said = capsys.readouterr().err
    assert "the teacher answers for 1 of 2 images, at least 2 are compared; " in said
    assert "first: teacher_failed: a score of NaN" in said


def test_one_image_cannot_be_ranked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["retrieve", str(tmp_path), "--limit", "1"]) == 2
    assert "--limit must be at least 2 images, got 1" in capsys.readouterr().err


def test_a_folder_as_file_is_said_before_anything_is_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["retrieve", str(tmp_path / "none"), "--out", str(tmp_path)]) == 2
    assert f"--out must be a file, got the folder '{tmp_path}'" in capsys.readouterr().err
