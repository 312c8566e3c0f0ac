"""Requests to tiny detectors, and what two answers must share."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from model.teacher.load import load_teacher
from model.teacher.options import TeacherOptions
from schemas.grounder import Grounding, GroundingRequest
from schemas.records import Phrase

WORDS = ("grounding-dino", "mm-grounding-dino")
QUERIES = ("owlv2", "owlvit", "omdet-turbo")
EVERYTHING = TeacherOptions(
    score_floor=0.0, token_threshold=0.0, nms_iou=1.0, max_boxes_per_phrase=0, aggregation="max"
)
CAPTION = "A red dog and the café's cat"
SPANS = ((0, 9), (14, 28), (18, 22))


def noise_image(height: int, width: int, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng((height, width, seed))
    return generator.integers(0, 256, (height, width, 3), dtype=np.uint8)


def request_of(image: np.ndarray, caption: str = CAPTION, spans: tuple = SPANS) -> GroundingRequest:
    phrases = tuple(Phrase(text=caption[a:b], start=a, end=b) for a, b in spans)
    return GroundingRequest(image=image, caption=caption, phrases=phrases)


@lru_cache(maxsize=32)
def teacher_of(directory: Path, **options: Any) -> Any:
    return load_teacher(directory, device="cpu", options=TeacherOptions(**options))


def assert_same(a: Grounding, b: Grounding, atol: float = 1e-5) -> None:
    assert len(a.score) == len(b.score)
    np.testing.assert_allclose(a.score, b.score, atol=atol)
    np.testing.assert_allclose(a.phrase_best_score, b.phrase_best_score, atol=atol)
    np.testing.assert_array_equal(np.sort(a.phrase_index), np.sort(b.phrase_index))
    for index in range(len(a.phrase_status)):
        mine, other = a.xyxy[a.phrase_index == index], b.xyxy[b.phrase_index == index]
        np.testing.assert_allclose(mine[np.lexsort(mine.T)], other[np.lexsort(other.T)], atol=0.01)
