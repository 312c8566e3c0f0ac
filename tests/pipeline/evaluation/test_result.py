"""A result that was written, read again by what follows an evaluation."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from jobs.commands.train.self_train import headline
from pipeline.evaluation.bootstrap import NOTHING, Interval
from pipeline.evaluation.phrase_recall import PUBLISHED_FRAME
from pipeline.evaluation.result import EvaluationResult, WrittenFigure, WrittenResult
from pipeline.evaluation.teacher import TeacherQuestions, teacher_figures
from pipeline.gold import load_gold
from schemas.errors import DataError
from tests.jobs.toy_run import draw_picture, write_gold
from tests.pipeline.evaluation.test_teacher import ColourTeacher


def measured(folder: Path, *, detection: bool) -> EvaluationResult:
    for number in range(3):
        draw_picture(folder / "images" / f"{number}.png")
    gold = load_gold(write_gold(folder, detection=detection))
    return teacher_figures(ColourTeacher(), gold, TeacherQuestions())


def read_again(result: EvaluationResult, folder: Path) -> WrittenResult:
    path = folder / "figures.json"
    path.write_text(json.dumps(result.to_dict()), encoding="utf-8")
    return WrittenResult.read(path)


def test_phrases_in_two_frames(tmp_path: Path) -> None:
    result = measured(tmp_path, detection=False)
    (one,) = [recall for recall in result.recalls if recall.protocol == "any-box"]
    other = replace(one, frame=PUBLISHED_FRAME, recall={1: Interval(0.1, 0.0, 0.2)})
    result.recalls.insert(0, other)
    found = read_again(result, tmp_path)
    assert found.phrase_r1 is not None
    assert (found.phrase_r1.value, found.phrase_r1.chance) == (1.0, one.chance[1].value)
    assert (found.ap50, found.label_recall) == (None, None)
    assert headline(found)["figure"] == "R@1"


def test_categories(tmp_path: Path) -> None:
    found = read_again(measured(tmp_path, detection=True), tmp_path)
    assert found.ap50 is not None
    assert found.ap50.value == pytest.approx(1.0)
    assert found.any_name_r20 is not None
    assert found.any_name_r20.chance is None
    assert headline(found).items() >= {"figure": "AP50", "value": found.ap50.value}.items()


def test_what_was_not_measured(tmp_path: Path) -> None:
    result = measured(tmp_path, detection=False)
    (one, *_) = result.recalls
    result.recalls = [replace(one, recall={1: NOTHING}, chance={1: NOTHING})]
    found = read_again(result, tmp_path).phrase_r1
    assert found == WrittenFigure(value=None, low=None, high=None)
    assert found.texts() == ("nothing to measure", "", "")
    assert math.isnan(NOTHING.value)
    result.recalls = []
    with pytest.raises(DataError, match="neither phrases nor categories"):
        headline(read_again(result, tmp_path))


def test_another_file_is_said(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    path.write_text('{"recalls": [{}]}', encoding="utf-8")
    with pytest.raises(
        DataError, match=r"figures.json is damaged .*; delete it, and measure again"
    ):
        WrittenResult.read(path)
