"""Several teachers as one: each of its boxes is theirs, fused, and says whose it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from model.teacher.ensemble import EnsembleTeacher, bend, members_of
from model.teacher.load import (
    load_teacher,
    teacher_directories,
    teacher_identity,
    teacher_note,
    teacher_scores,
)
from model.teacher.options import TeacherOptions
from schemas.errors import ConfigError, RecordError
from schemas.fusion import fuse_boxes
from schemas.grounder import GroundingRequest
from schemas.records import Phrase, PhraseStatus
from tests.model.teacher.tiny_detectors import write_detector

CAPTION = "a black cat and a dog"
PHRASES = (
    Phrase(text="a black cat", start=0, end=11),
    Phrase(text="a dog", start=16, end=21),
    Phrase(text="dog", start=18, end=21, status=PhraseStatus.NOT_VISUAL),
)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> str:
    place = tmp_path_factory.mktemp("teachers")
    dino = write_detector("grounding-dino", place / "dino")
    return f"{dino}, {write_detector('owlv2', place / 'owl')}"


def requests(count: int = 2) -> list[GroundingRequest]:
    rng = np.random.default_rng(3)
    images = [rng.integers(0, 255, (60, 80, 3), dtype=np.uint8) for _ in range(count)]
    return [GroundingRequest(image=i, caption=CAPTION, phrases=PHRASES) for i in images]


def test_boxes_are_the_members_fused(pair: str) -> None:
    options = TeacherOptions(score_floor=0.0, token_threshold=0.0, max_boxes_per_phrase=10)
    teacher = load_teacher(pair, device="cpu", options=options)
    assert isinstance(teacher, EnsembleTeacher)
    alone = [load_teacher(name.strip(), device="cpu", options=options) for name in pair.split(",")]
    answers = teacher.ground(requests())
    for found, *own in zip(answers, *(one.ground(requests()) for one in alone), strict=True):
        assert np.all(np.diff(found.score) <= 0)
        assert found.phrase_status == (PhraseStatus.OK, PhraseStatus.OK, PhraseStatus.NOT_VISUAL)
        for index in (0, 1):
            mine = np.flatnonzero(found.phrase_index == index)
            parts = [np.flatnonzero(answer.phrase_index == index) for answer in own]
            wanted = fuse_boxes(
                [answer.xyxy[at] for answer, at in zip(own, parts, strict=True)],
                [
                    bend(answer.score[at], one.scores.recommended_threshold)
                    for answer, at, one in zip(own, parts, alone, strict=True)
                ],
            )
            assert len(mine) == len(wanted.score) > 0
            assert np.allclose(np.sort(found.score[mine]), np.sort(wanted.score), atol=1e-6)
        names = {name for entry in found.proposed_by for name in entry.split(" + ")}
        assert names == {one.teacher_id for one in alone}
        assert (found.score <= found.phrase_best_score[found.phrase_index] + 1e-6).all()
    teacher_id, fingerprint = teacher_identity(pair, options=options)
    assert (teacher_id, fingerprint) == (teacher.teacher_id, teacher.fingerprint())
    assert teacher_id == " + ".join(one.teacher_id for one in alone)
    assert teacher_scores(pair).recommended_threshold == 0.5
    assert teacher_note(pair) == ""
    assert len(teacher_directories(pair)) == 2
    assert len(teacher.detect(requests()[0].image, ["cat", "dog"]).phrase_status) == 2


def test_a_recommended_threshold_becomes_one_half() -> None:
    scores = np.array([0.0, 0.1, 0.3, 0.9, 1.0], np.float32)
    bent = bend(scores, 0.3)
    assert bent[2] == pytest.approx(0.5)
    assert bent[0] == 0
    assert bent[-1] == 1
    assert np.all(np.diff(bent) > 0)
    assert np.allclose(bend(scores, 0.5), scores)


@pytest.mark.parametrize(
    "source, said",
    [
        ("a,,b", "teacher must be names with commas between them, got 'a,,b'"),
        ("a,a", "must name each member of an ensemble once"),
    ],
)
def test_wrong_names_are_a_sentence(source: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        members_of(source)


def test_a_folder_may_have_a_comma(tmp_path: Path) -> None:
    folder = tmp_path / "a,b"
    folder.mkdir()
    assert members_of(str(folder)) == (str(folder),)
    assert members_of(None) == (None,)


def test_many_captions_of_an_image_score_as_each_alone(pair: str) -> None:
    options = TeacherOptions(score_floor=0.0, token_threshold=0.0)
    images = [request.image for request in requests()]
    captions = [
        (CAPTION, [(0, 11), (16, 21)]),
        ("a tree", [(0, 6)]),
        ("the house by a big dog", [(0, 9), (13, 22)]),
    ]
    for source in (*(name.strip() for name in pair.split(",")), "shipped"):
        teacher = load_teacher(source, device="cpu", options=options)
        found = teacher.best_scores(images, captions)
        for row, image in enumerate(images):
            for column, (text, spans) in enumerate(captions):
                phrases = tuple(Phrase(text=text[a:b], start=a, end=b) for a, b in spans)
                request = GroundingRequest(image=image, caption=text, phrases=phrases)
                alone = teacher.ground([request])[0].phrase_best_score
                assert np.allclose(found[row][column], alone, atol=1e-5)
    together = load_teacher(pair, device="cpu", options=options)
    assert [len(scores) for scores in together.best_scores(images, captions)[0]] == [2, 1, 2]


def test_whoever_answers_with_nan_is_named(pair: str) -> None:
    teacher = load_teacher(pair, device="cpu")
    assert isinstance(teacher, EnsembleTeacher)
    broken = teacher.members[1]
    for weights in broken._model.parameters():  # type: ignore[attr-defined]
        weights.data.fill_(float("nan"))
    (request, *_) = requests()
    with pytest.raises(RecordError, match=f"teacher_failed: {broken.teacher_id}: .* of NaN or"):
        teacher.ground([request])
    with pytest.raises(RecordError, match=f"teacher_failed: {broken.teacher_id}: .* of NaN or"):
        teacher.best_scores([request.image], [(CAPTION, [(16, 21)])])


def test_a_phrase_that_one_cannot_read_is_the_others_alone(pair: str) -> None:
    text = "big red " * 20 + "dog"
    phrases = (Phrase(text=text, start=0, end=len(text)),)
    (request, *_) = requests()
    request = GroundingRequest(image=request.image, caption=text, phrases=phrases)
    options = TeacherOptions(score_floor=0.0, token_threshold=0.0, max_boxes_per_phrase=5)
    teacher = load_teacher(pair, device="cpu", options=options)
    assert isinstance(teacher, EnsembleTeacher)
    reads, refuses = teacher.members
    assert refuses.ground([request])[0].phrase_status == (PhraseStatus.TRUNCATED,)
    (alone,) = reads.ground([request])
    (found,) = teacher.ground([request])
    bent = bend(alone.score, reads.scores.recommended_threshold)
    wanted = fuse_boxes([alone.xyxy], [bent])
    assert np.allclose(found.score, wanted.score, atol=1e-6)
    assert set(found.proposed_by) == {reads.teacher_id}
    asked = [(text, [(0, len(text))]), (CAPTION, [(16, 21)])]
    (scores,) = teacher.best_scores([request.image], asked)
    (own,) = reads.best_scores([request.image], asked)
    (other,) = refuses.best_scores([request.image], asked)
    assert other[0] == 0
    threshold = reads.scores.recommended_threshold
    assert np.allclose(scores[0], bend(own[0], threshold))
    both = [bend(own[1], threshold), bend(other[1], refuses.scores.recommended_threshold)]
    assert np.allclose(scores[1], np.mean(both, axis=0))
