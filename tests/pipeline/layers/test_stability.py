"""Boxes that are found again in changed images, and those that are not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from pipeline.layers.stability import StabilityScorer
from schemas.grounder import Grounding, GroundingRequest
from schemas.layer import LayerRequest
from schemas.records import PhraseStatus

CAPTION = "a dog and a cat"
DOG, CAT = (0, 5), (10, 15)


class BrightTeacher:
    """Finds the bright square for any phrase; `by_side` also a dog at the left edge, always."""

    teacher_id = "bright@0"

    def __init__(self, *, by_side: bool = False, fades: float = 1.0) -> None:
        self._by_side, self._fades = by_side, fades
        self.sizes: list[tuple[int, int]] = []

    def fingerprint(self) -> Mapping[str, object]:
        return {"weights": "bright"}

    def ground(self, requests: Sequence[GroundingRequest]) -> list[Grounding]:
        return [self._answer(request) for request in requests]

    def _answer(self, request: GroundingRequest) -> Grounding:
        height, width = request.image.shape[:2]
        self.sizes.append((width, height))
        ys, xs = np.nonzero(request.image[:, :, 0] > 128)
        boxes = [(xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)] * len(request.phrases)
        index = list(range(len(request.phrases)))
        if self._by_side:
            boxes.append((0, 0, width // 4, height))
            index.append(0)
        score = np.full(len(boxes), 0.8 * self._fades, dtype=np.float32)
        return Grounding(
            xyxy=np.array(boxes, dtype=np.float32),
            phrase_index=np.array(index),
            score=score,
            token_score=score,
            centerness=score,
            phrase_best_score=score[: len(request.phrases)],
            phrase_status=(PhraseStatus.OK,) * len(request.phrases),
        )


def request(*boxes: tuple[float, ...], spans: Sequence[tuple[int, int]]) -> LayerRequest:
    image = np.zeros((80, 120, 3), dtype=np.uint8)
    image[20:60, 8:48] = 255
    return LayerRequest(
        image=image,
        caption=CAPTION,
        boxes=np.array(boxes, dtype=np.float32).reshape(-1, 4),
        phrases=tuple(CAPTION[slice(*span)] for span in spans),
        spans=tuple(spans),
        scores=(0.8,) * len(boxes),
    )


def scores(teacher: BrightTeacher, one: LayerRequest) -> list[float]:
    (answer,) = StabilityScorer(teacher).score([one], {"stability"})
    return list(answer["stability"]["score"])


def test_what_is_there_is_found_again_wherever_it_goes() -> None:
    teacher = BrightTeacher()
    there, elsewhere = (8.0, 20.0, 48.0, 60.0), (70.0, 20.0, 110.0, 60.0)
    found = scores(teacher, request(there, elsewhere, spans=[DOG, DOG]))
    assert found[0] == pytest.approx(1, abs=0.08)
    assert found[1] == 0
    assert teacher.sizes == [(120, 80), (90, 60)]


def test_a_box_of_the_edge_and_not_of_the_image_is_lost_by_the_flip() -> None:
    left = (0.0, 0.0, 30.0, 80.0)
    found = scores(BrightTeacher(by_side=True), request(left, spans=[DOG]))
    assert 0.4 < found[0] < 0.7  # again at another size, not in the flipped image


def test_a_score_that_falls_counts_and_another_phrase_does_not() -> None:
    there = (8.0, 20.0, 48.0, 60.0)
    assert scores(BrightTeacher(fades=0.5), request(there, spans=[CAT])) == [
        pytest.approx(0.5, abs=0.05)
    ]
    teacher = BrightTeacher(by_side=True)
    left = (0.0, 0.0, 30.0, 80.0)
    # The edge is found for the first phrase of the caption, the dog, and this is a cat.
    assert scores(teacher, request(there, left, spans=[DOG, CAT]))[1] < 0.3


def test_pairs_without_boxes_are_not_asked_about() -> None:
    teacher = BrightTeacher()
    assert scores(teacher, request(spans=[])) == []
    assert teacher.sizes == []
    assert StabilityScorer(teacher).score([], {"stability"}) == []
    assert StabilityScorer(teacher).fingerprint()["teacher_id"] == "bright@0"
