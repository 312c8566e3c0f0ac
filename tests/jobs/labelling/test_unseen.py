"""What is said of a teacher that has never seen a photograph."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from jobs.labelling.unseen import tell_what_it_never_saw
from pipeline.images.photograph import look_like_photographs
from tests.jobs.fake_label import FakeSetup

NOTE = "it has never seen a photograph"


@dataclass(frozen=True, kw_only=True)
class NotedSetup(FakeSetup):
    def note(self) -> str:
        return NOTE


def drawing(seed: int) -> np.ndarray:
    picture = Image.new("RGB", (320, 240), (240, 230, 200))
    draw = ImageDraw.Draw(picture)
    for k in range(5):
        place = 40 * k + 10 * seed
        draw.ellipse((place, 50, place + 60, 130), fill=(200, 40 * k, 90))
    return np.asarray(picture)


def grainy(seed: int) -> np.ndarray:
    """Structure in every patch, as leaves, cloth and crowds have it."""
    noise = np.random.default_rng(seed).integers(0, 255, (120, 160, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(noise).resize((640, 480), Image.Resampling.BICUBIC))


def test_drawings_and_photographs() -> None:
    assert not look_like_photographs([])
    assert not look_like_photographs([drawing(n) for n in range(8)])
    assert look_like_photographs([grainy(n) for n in range(8)])


def write(folder: Path, pictures: list[np.ndarray]) -> str:
    folder.mkdir()
    for number, pixels in enumerate(pictures):
        Image.fromarray(pixels).save(folder / f"{number}.png")
        (folder / f"{number}.txt").write_text("a dog")
    return str(folder)


@pytest.mark.parametrize("make, warned", [(drawing, False), (grainy, True)])
def test_the_note_and_the_warning(
    make, warned: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    setup = NotedSetup(corpus=write(tmp_path / "c", [make(n) for n in range(8)]))
    corpus = setup.open_corpus()
    tell_what_it_never_saw(setup, corpus, corpus.units()[0])
    said = capsys.readouterr().err
    assert NOTE in said
    assert ("the first 8 pictures of the corpus look like photographs" in said) == warned


def test_pictures_that_cannot_be_read_are_no_reason_to_stop(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write(tmp_path / "c", [drawing(0)])
    for name in ("1", "2", "3"):
        (tmp_path / "c" / f"{name}.png").write_bytes(b"no picture")
    setup = NotedSetup(corpus=folder)
    corpus = setup.open_corpus()
    tell_what_it_never_saw(setup, corpus, corpus.units()[0])
    assert "warning" not in capsys.readouterr().err


def test_a_teacher_without_a_note_is_not_mentioned(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    setup = FakeSetup(corpus=write(tmp_path / "c", [grainy(0)]))
    corpus = setup.open_corpus()
    tell_what_it_never_saw(setup, corpus, corpus.units()[0])
    assert capsys.readouterr().err == ""
