"""Boxes of wordings become boxes of classes; competitors take theirs away and are no labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from pipeline.labelling.class_grounder import ClassGrounder, ClassListParser
from pipeline.phrases.class_list import ClassList
from schemas.grounder import Grounding, GroundingRequest
from schemas.records import PhraseStatus

A, A_MOVED, B = (0, 0, 10, 10), (0, 0, 10, 9), (50, 50, 60, 60)
IMAGE = np.zeros((80, 80, 3), dtype=np.uint8)


class Words:
    """Answers each phrase with the boxes that the test gives its text."""

    teacher_id = "words@0"

    def __init__(self, **boxes: list[tuple[tuple[int, int, int, int], float]]) -> None:
        self.boxes = boxes
        self.asked: list[str] = []

    def fingerprint(self) -> dict[str, object]:
        return {"kind": "words"}

    def ground(self, requests: Sequence[GroundingRequest]) -> list[Grounding]:
        self.asked += [request.caption for request in requests]
        return [self._answer([p.text for p in request.phrases]) for request in requests]

    def _answer(self, texts: list[str]) -> Grounding:
        found = sorted(
            (-score, number, box)
            for number, text in enumerate(texts)
            for box, score in self.boxes.get(text, [])
        )
        scores = np.array([-score for score, _, _ in found], np.float32)
        best = [max((s for _, s in self.boxes.get(text, [])), default=0.01) for text in texts]
        return Grounding(
            xyxy=np.array([box for _, _, box in found], np.float32).reshape(-1, 4),
            phrase_index=np.array([number for _, number, _ in found], np.int64),
            score=scores,
            token_score=scores,
            centerness=np.ones_like(scores),
            phrase_best_score=np.array(best, np.float32),
            phrase_status=tuple(
                PhraseStatus.TRUNCATED if text.startswith("zz") else PhraseStatus.OK
                for text in texts
            ),
        )


def ask(names: str, **boxes: list[tuple[tuple[int, int, int, int], float]]) -> Grounding:
    classes = ClassList.parse(names)
    (phrases,) = ClassListParser(classes).extract(["whatever"])
    request = GroundingRequest(image=IMAGE, caption=classes.caption, phrases=phrases)
    (found,) = ClassGrounder(Words(**boxes), classes).ground([request])
    return found


def labels(found: Grounding) -> list[tuple[int, tuple[float, ...], float]]:
    return [
        (int(index), tuple(box), round(float(score), 3))
        for index, box, score in zip(
            found.phrase_index, found.xyxy.tolist(), found.score, strict=True
        )
    ]


def test_nothing_found_is_an_empty_answer_with_the_best_scores() -> None:
    found = ask("cat; dog: zz, puppy; eel: zz")
    assert labels(found) == []
    assert found.phrase_best_score.tolist() == pytest.approx([0.01] * 3)
    assert found.phrase_status == (PhraseStatus.OK, PhraseStatus.OK, PhraseStatus.TRUNCATED)


def test_wordings_of_one_object_are_one_box_of_the_class() -> None:
    found = ask(
        "cat; person: man, woman", man=[(A, 0.5), (B, 0.4)], woman=[(A_MOVED, 0.7)], cat=[(A, 0.6)]
    )
    assert labels(found) == [(1, A_MOVED, 0.7), (0, A, 0.6), (1, B, 0.4)]
    assert found.phrase_best_score.tolist() == pytest.approx([0.6, 0.7])


def test_a_better_competitor_takes_the_box_away_and_a_worse_one_does_not() -> None:
    boxes = {"helmet": [(A, 0.5), (B, 0.6)], "cap": [(A_MOVED, 0.7), (B, 0.55)]}
    assert labels(ask("helmet: -cap", **boxes)) == [(0, B, 0.6)]


def test_a_competitor_that_is_a_class_of_its_own_keeps_its_boxes() -> None:
    boxes = {"helmet": [(A, 0.5)], "cap": [(A, 0.7)]}
    assert labels(ask("helmet: -cap; cap:", **boxes)) == [(1, A, 0.7)]


def test_each_word_is_asked_once_in_one_caption() -> None:
    classes = ClassList.parse("helmet: helmet, hard hat, -cap; cap: cap")
    teacher = Words()
    request = GroundingRequest(image=IMAGE, caption=classes.caption, phrases=classes.phrases)
    ClassGrounder(teacher, classes).ground([request, request])
    assert teacher.asked == ["helmet. hard hat. cap."] * 2
