"""`glipforge retrieve`: on drawn scenes the shipped teacher knows which caption is whose."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from jobs.cli import main


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


def test_one_image_cannot_be_ranked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["retrieve", str(tmp_path), "--limit", "1"]) == 2
    assert "--limit must be at least 2 images, got 1" in capsys.readouterr().err


def test_a_folder_as_file_is_said_before_anything_is_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["retrieve", str(tmp_path / "none"), "--out", str(tmp_path)]) == 2
    assert f"--out must be a file, got the folder '{tmp_path}'" in capsys.readouterr().err
