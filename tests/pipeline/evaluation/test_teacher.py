from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jobs.commands.train import evaluate
from pipeline.evaluation.teacher import TeacherQuestions, teacher_figures
from pipeline.gold import load_gold
from schemas.errors import ConfigError
from schemas.grounder import Grounding, GroundingRequest
from schemas.records import PhraseStatus
from tests.jobs.toy_run import BLUE, RED, draw_picture, write_gold

PLACE = {"red": RED, "blue": BLUE}


class ColourTeacher:
    """Knows where red and blue boxes are; `swapped` confuses the names."""

    teacher_id = "colours@0"

    def __init__(self, *, swapped: bool = False) -> None:
        self.swapped = swapped
        self.unknown: tuple[str, ...] = ()
        self.asked: list[tuple[str, ...]] = []

    def ground(self, requests: Sequence[GroundingRequest]) -> list[Grounding]:
        return [self._answer([p.text for p in request.phrases]) for request in requests]

    def detect_batch(
        self, images: Sequence[np.ndarray[Any, Any]], names: Sequence[str]
    ) -> list[Grounding]:
        self.asked.append(tuple(names))
        return [self._answer(names) for _ in images]

    def _answer(self, texts: Sequence[str]) -> Grounding:
        found = []
        for number, text in enumerate(texts):
            color = "red" if "red" in text else "blue" if "blue" in text else ""
            if self.swapped and color:
                color = "blue" if color == "red" else "red"
            if color:
                found.append((PLACE[color], number))
        return Grounding(
            xyxy=np.array([xyxy for xyxy, _ in found], dtype=np.float32).reshape(-1, 4),
            phrase_index=np.array([number for _, number in found], dtype=np.int64),
            score=np.full(len(found), 0.9, dtype=np.float32),
            token_score=np.full(len(found), 0.9, dtype=np.float32),
            centerness=np.full(len(found), 0.9, dtype=np.float32),
            phrase_best_score=np.full(len(texts), 0.9, dtype=np.float32),
            phrase_status=tuple(
                PhraseStatus.TRUNCATED if text in self.unknown else PhraseStatus.OK
                for text in texts
            ),
        )


def pictures(folder: Path) -> None:
    for number in range(3):
        draw_picture(folder / "images" / f"{number}.png")


def test_grounding_gold(tmp_path: Path) -> None:
    pictures(tmp_path)
    gold = load_gold(write_gold(tmp_path))
    right = teacher_figures(ColourTeacher(), gold, TeacherQuestions(batch_size=2))
    assert right.recalls[0].recall[1].value == 1.0
    assert right.recalls[0].num_phrases == 6
    assert not any("RefCOCO" in note for note in right.notes)
    wrong = teacher_figures(ColourTeacher(swapped=True), gold, TeacherQuestions())
    assert wrong.recalls[0].recall[1].value == 0.0
    assert wrong.recalls[0].chance[1].value == pytest.approx(0.5)


def test_whole_captions_are_referring_expressions(tmp_path: Path) -> None:
    pictures(tmp_path)
    gold = load_gold(write_gold(tmp_path))
    whole = tuple(
        replace(sample, caption="the red box", boxes=(RED,), spans=(((0, 11),),), weights=(1.0,))
        for sample in gold.samples
    )
    found = teacher_figures(ColourTeacher(), replace(gold, samples=whole), TeacherQuestions())
    assert found.recalls[0].recall[1].value == 1.0
    assert "every phrase is its whole caption: R@1 (any-box) is the accuracy of RefCOCO" in (
        found.notes
    )


def test_detection_gold_asks_for_all_names_or_for_some(tmp_path: Path) -> None:
    pictures(tmp_path)
    gold = load_gold(write_gold(tmp_path, detection=True))
    teacher = ColourTeacher()
    done: list[int] = []
    result = teacher_figures(teacher, gold, TeacherQuestions(batch_size=2), done.append)
    assert result.detection is not None
    assert result.detection.ap50.value == pytest.approx(1.0)
    assert teacher.asked == [("red box", "blue box")] * 2
    assert done == [2, 3]
    assert "asked for all 2 categories" in result.notes[0]
    few = teacher_figures(teacher, gold, TeacherQuestions(negatives=0, limit=2))
    assert few.detection is not None
    assert few.detection.num_images == 2
    assert "figures are higher than with all categories" in few.notes[0]


def test_names_that_were_never_asked_are_named(tmp_path: Path) -> None:
    pictures(tmp_path)
    gold = load_gold(write_gold(tmp_path, detection=True))
    teacher = ColourTeacher()
    teacher.unknown = ("blue box",)
    result = teacher_figures(teacher, gold, TeacherQuestions())
    assert result.notes[0].startswith("asked for 1 of 2 categories in every image")
    assert "1 categories were not asked" in result.notes[1]
    assert "'blue box'" in result.notes[1]


def test_images_that_cannot_be_used_are_counted(tmp_path: Path) -> None:
    pictures(tmp_path)
    gold_path = write_gold(tmp_path)
    (tmp_path / "images" / "0.png").unlink()
    (tmp_path / "images" / "1.png").write_bytes(b"no image")
    result = teacher_figures(ColourTeacher(), load_gold(gold_path), TeacherQuestions())
    assert result.recalls[0].num_images == 1
    assert "1 gold images left out: image_missing" in result.notes
    assert "1 gold images left out: image_corrupt" in result.notes
    (tmp_path / "images" / "2.png").unlink()
    with pytest.raises(ConfigError, match=r"not one image of gold 'gold' can .*--image-root"):
        teacher_figures(ColourTeacher(), load_gold(gold_path), TeacherQuestions())


def test_the_command_prints_value_interval_and_chance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures(tmp_path)
    teacher = ColourTeacher()
    teacher.note = "only a test"  # type: ignore[attr-defined]
    monkeypatch.setattr("model.teacher.load.load_teacher", lambda *_, **__: teacher)
    gold = write_gold(tmp_path, detection=True)
    assert evaluate.run(evaluate.Config(gold=gold, teacher="shipped")) == 0
    shown = capsys.readouterr().out
    assert "colours@0 on coco (coco)" in shown
    for words in ("AP50", "95 % interval", "chance", "recall@20 of any name", "note: only a test"):
        assert words in shown


@pytest.mark.parametrize(
    "fields, message",
    [
        ({}, r"give one of --teacher, --run and --detections, got none of them"),
        (
            {"teacher": "a", "run": "b"},
            r"give one of .*, got --teacher and --run",
        ),
        ({"teacher": "a", "negatives": -2}, r"negatives must be -1 or more, got -2"),
        ({"run": "a", "nouns": -1}, r"nouns must be 0 or more, got -1"),
        ({"teacher": "a"}, r"gold 'nowhere' does not exist"),
    ],
)
def test_wrong_options_are_explained(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        evaluate.run(evaluate.Config(gold="nowhere", **fields))
