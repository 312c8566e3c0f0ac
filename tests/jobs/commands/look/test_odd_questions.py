"""Odd pictures and odd words through `ground` and `detect`, with the shipped teacher and parser."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jobs.cli import main

pytestmark = pytest.mark.slow


def draw(folder: Path, width: int, height: int) -> Path:
    pixels = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    path = folder / "picture.png"
    Image.fromarray(pixels).save(path)
    return path


@pytest.mark.parametrize(
    "size, said",
    [
        ((1, 1), "1 x 1 pixels; the shorter side must have at least 8"),
        ((1, 300), "1 x 300 pixels; the shorter side must have at least 8"),
        ((20_000, 3), "20000 x 3 pixels; the shorter side must have at least 8"),
        ((20_000, 8), "20000 x 8 pixels; the longer side may be at most 100 times the shorter"),
    ],
)
def test_pictures_too_thin_are_refused_by_their_size(
    size: tuple[int, int], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = draw(tmp_path, *size)
    assert main(["ground", str(path), "a dog", "--out", str(tmp_path / "a.png")]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("size", [(8, 8), (31, 9), (20_000, 200), (8, 800)])
def test_small_and_long_pictures_are_answered(
    size: tuple[int, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = draw(tmp_path, *size), tmp_path / "a.png"
    assert main(["ground", str(path), "a dog", "--out", str(out), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert [phrase["text"] for phrase in answer["phrases"]] == ["a dog"]
    for box in answer["boxes"]:
        x0, y0, x1, y1 = box["xyxy"]
        assert 0 <= x0 < x1 <= size[0]
        assert 0 <= y0 < y1 <= size[1]


def test_emoji_name_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = draw(tmp_path, 64, 48), tmp_path / "a.png"
    assert main(["ground", str(path), "🐶🐱 🎉", "--out", str(out)]) == 0
    assert "no noun phrase to look for" in capsys.readouterr().out


def test_five_thousand_words_are_all_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = draw(tmp_path, 64, 48), tmp_path / "a.png"
    caption = "a dog sees a cat. " * 1000
    assert main(["ground", str(path), caption, "--out", str(out), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert len(answer["phrases"]) == 2000
    assert {phrase["status"] for phrase in answer["phrases"]} == {"ok"}
    assert min(phrase["best_score"] for phrase in answer["phrases"]) > 0
    assert main(["ground", str(path), caption, "--out", str(out), "--threshold", "1"]) == 0
    words = " ".join(capsys.readouterr().out.split())
    assert "none of the 2,000 phrases has a box over 1" in words


def test_names_of_parentheses_alone_are_said_not_to_fit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = draw(tmp_path, 64, 48), tmp_path / "a.png"
    assert main(["detect", str(path), "--names", "(a), (b)", "--out", str(out)]) == 0
    assert capsys.readouterr().out.count("the model has no word for it, or it is too long") == 2
