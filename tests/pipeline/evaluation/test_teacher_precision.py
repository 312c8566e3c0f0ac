"""The precision of a teacher's labels on gold, before anything is labelled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.curation.rules.policy import FilterPolicy
from pipeline.evaluation.teacher_precision import teacher_precision
from pipeline.gold import load_gold
from pipeline.gold.gold_set import GoldSet, IgnoredBox
from pipeline.phrases.class_list import ClassList
from schemas.errors import ConfigError, RecordError
from schemas.grounder import Grounding, GroundingRequest
from schemas.records import Status
from tests.jobs.toy_run import BLUE, RED, draw_picture, write_gold
from tests.pipeline.evaluation.test_teacher import ColourTeacher

ALL = FilterPolicy(name="all", score_threshold=0.5)


def gold_of(folder: Path, *, detection: bool = False) -> GoldSet:
    for number in range(3):
        draw_picture(folder / "images" / f"{number}.png")
    return load_gold(write_gold(folder, detection=detection))


@pytest.mark.parametrize("detection", [False, True])
def test_right_and_wrong_teachers(detection: bool, tmp_path: Path) -> None:
    gold = gold_of(tmp_path, detection=detection)
    right = teacher_precision(ColourTeacher(), gold, ALL)
    assert (right.images, right.labels, right.right, right.precision) == (3, 6, 6, 1.0)
    # Six of six show no more than Clopper and Pearson's bound, whatever a bootstrap says.
    assert right.low == pytest.approx(0.025 ** (1 / 6))
    assert right.high == 1
    assert right.sentence().startswith("precision 1.000 (0.541 to 1.000 at confidence 0.95; 6 of 6")
    wrong = teacher_precision(ColourTeacher(swapped=True), gold, ALL)
    assert (wrong.right, wrong.labels, wrong.low) == (0, 6, 0.0)
    assert teacher_precision(ColourTeacher(), gold, ALL, limit=2).images == 2


def test_a_policy_that_keeps_nothing_shows_nothing(tmp_path: Path) -> None:
    found = teacher_precision(
        ColourTeacher(), gold_of(tmp_path), FilterPolicy(name="strict", score_threshold=0.95)
    )
    assert (found.labels, found.low, found.high) == (0, 0.0, 1.0)
    assert found.sentence() == "no label that gold 'gold' can judge on 3 images"


def test_absent_categories_are_asked_where_gold_judges_them(tmp_path: Path) -> None:
    gold = gold_of(tmp_path, detection=True)
    first = gold.samples[0].sample_id
    only_red = replace(
        gold,
        samples=(
            replace(gold.samples[0], boxes=(RED,), spans=(((0, 7),),), weights=(1.0,)),
            *gold.samples[1:],
        ),
        box_categories=gold.box_categories | {first: (0,)},
    )
    assert teacher_precision(ColourTeacher(), only_red, ALL).right == 5
    assert teacher_precision(ColourTeacher(), only_red, ALL).labels == 6
    # A crowd is neither right nor wrong.
    crowd = replace(only_red, ignored={first: (IgnoredBox(xyxy=BLUE, category=1),)})
    found = teacher_precision(ColourTeacher(), crowd, ALL)
    assert (found.right, found.labels, found.unjudged) == (5, 5, 1)
    # Federated gold: what it did not look for is not asked for...
    federated = replace(only_red, is_exhaustive=False)
    assert teacher_precision(ColourTeacher(), federated, ALL).labels == 5
    # ...what it knows to be absent is.
    knows = replace(federated, absent={first: (1,)})
    assert teacher_precision(ColourTeacher(), knows, ALL).labels == 6
    # A category of which not every instance has a box judges no label elsewhere.
    partly = replace(only_red, not_exhaustive={first: (1,)})
    assert teacher_precision(ColourTeacher(), partly, ALL).unjudged == 1


def test_classes_of_a_run(tmp_path: Path) -> None:
    gold = gold_of(tmp_path, detection=True)
    classes = ClassList.parse("blue box, green box")
    found = teacher_precision(ColourTeacher(), gold, ALL, classes=classes)
    assert (found.right, found.labels) == (3, 3)
    with pytest.raises(ConfigError, match=r"not one of the classes \(cat\) is a category of gold"):
        teacher_precision(ColourTeacher(), gold, ALL, classes=ClassList.parse("cat"))
    with pytest.raises(ConfigError, match=r"is of phrases; classes are judged by gold boxes of"):
        teacher_precision(ColourTeacher(), gold_of(tmp_path), ALL, classes=classes)


class Stumbling(ColourTeacher):
    """Cannot answer many at once, nor the first image at all."""

    def ground(self, requests: Sequence[GroundingRequest]) -> list[Grounding]:
        if len(requests) > 1:
            raise RuntimeError("too many")
        self.asked.append(("one",))
        if len(self.asked) == 1:
            raise RecordError(Status.TEACHER_FAILED, "no")
        return super().ground(requests)


class Broken(ColourTeacher):
    """Raises what blames no image."""

    def ground(self, requests: Sequence[GroundingRequest]) -> list[Grounding]:
        raise RuntimeError("out of order")


def test_an_image_that_cannot_be_answered_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found = teacher_precision(Stumbling(), gold_of(tmp_path), ALL)
    (said,) = caplog.messages
    assert said.startswith("teacher: a batch of 3 pairs failed (RuntimeError: too many)")
    assert (found.images, found.right) == (2, 4)
    with pytest.raises(ConfigError, match=rf"can be used \(3 x {Status.TEACHER_FAILED}\)"):
        teacher_precision(Broken(), gold_of(tmp_path), ALL)
    assert found.left_out == (f"1 images: {Status.TEACHER_FAILED}",)
    (tmp_path / "images" / "0.png").write_bytes(b"no image")
    assert teacher_precision(ColourTeacher(), gold_of_written(tmp_path), ALL).images == 2


def gold_of_written(folder: Path) -> GoldSet:
    return load_gold(str(folder / "gold.json"))


def test_what_only_a_labelled_run_has_is_refused(tmp_path: Path) -> None:
    wanted = FilterPolicy(name="sure", min_precision=0.9)
    with pytest.raises(ConfigError, match=r"asks for min_precision 0.9"):
        teacher_precision(ColourTeacher(), gold_of(tmp_path), wanted)
