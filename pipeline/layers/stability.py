"""The layer `stability`: does the teacher find its boxes again in changed images?

The image is flipped, and made smaller; the teacher is asked for the same phrases. A box that was
right is mostly found at the same place with about the same score; chance finds are not.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from schemas.boxes import pairwise_iou
from schemas.grounder import Grounder, Grounding, GroundingRequest
from schemas.layer import KINDS, LayerAnswer, LayerKind, LayerRequest
from schemas.records import Phrase

VERSION = 1
SCALE = 0.75
MIN_SIDE = 32
"""An image is not made smaller than that."""
Boxes = NDArray[np.float64]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """A changed image, and how boxes of it are put back into the first."""

    image: Pixels
    back: Callable[[Boxes], Boxes]


def stability_fingerprint(teacher_id: str, teacher: Mapping[str, object]) -> dict[str, Any]:
    """Everything that changes the rows, of a teacher that need not be loaded."""
    return {
        "teacher_id": teacher_id,
        "teacher": dict(teacher),
        "views": ["flip", f"scale {SCALE}"],
        "version": VERSION,
    }


class StabilityScorer:
    """Makes the layer `stability` with a teacher."""

    kinds: tuple[LayerKind, ...] = (KINDS["stability"],)

    def __init__(self, teacher: Grounder) -> None:
        self._teacher = teacher

    def fingerprint(self) -> Mapping[str, Any]:
        """The teacher's, and the views."""
        return stability_fingerprint(self._teacher.teacher_id, self._teacher.fingerprint())

    def score(self, requests: Sequence[LayerRequest], wanted: Collection[str]) -> list[LayerAnswer]:
        """For each box the mean over the views of: overlap with the box that is found again, times
        the share of its score that is left; of several the best."""
        views = [_views(request.image) for request in requests]
        asked = [
            GroundingRequest(image=view.image, caption=request.caption, phrases=_phrases(request))
            for request, own in zip(requests, views, strict=True)
            for view in own
            if request.spans
        ]
        answers = iter(self._teacher.ground(asked) if asked else ())
        found: list[LayerAnswer] = []
        for request, own in zip(requests, views, strict=True):
            scores = np.zeros(len(request.spans))
            if request.spans:
                scores = np.mean([_again(request, view, next(answers)) for view in own], axis=0)
            found.append({"stability": {"score": scores.tolist()}})
        return found


def _views(image: Pixels) -> tuple[_View, _View]:
    height, width = image.shape[:2]
    small = tuple(max(round(side * SCALE), min(side, MIN_SIDE)) for side in (width, height))
    ratio = np.array([width / small[0], height / small[1]] * 2)
    resized = Image.fromarray(image).resize((small[0], small[1]), Image.Resampling.BILINEAR)

    def unflip(boxes: Boxes) -> Boxes:
        return np.stack(
            [width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], axis=1
        )

    return (
        _View(image=np.ascontiguousarray(image[:, ::-1]), back=unflip),
        _View(image=np.asarray(resized), back=lambda boxes: boxes * ratio),
    )


def _phrases(request: LayerRequest) -> tuple[Phrase, ...]:
    """What is asked for, each phrase once, in the order of the caption."""
    return tuple(
        Phrase(text=request.caption[start:end], start=start, end=end)
        for start, end in sorted(set(request.spans))
    )


def _again(request: LayerRequest, view: _View, answer: Grounding) -> NDArray[np.float64]:
    """[N]"""
    number_of = {span: n for n, span in enumerate(sorted(set(request.spans)))}
    own_phrase = np.array([number_of[span] for span in request.spans])
    if not len(answer.score):
        return np.zeros(len(own_phrase))
    boxes = view.back(np.asarray(answer.xyxy, dtype=np.float64).reshape(-1, 4))
    overlap = pairwise_iou(request.boxes, boxes)
    left = np.asarray(answer.score, np.float64) / np.maximum(request.scores, 1e-6)[:, None]
    same = own_phrase[:, None] == np.asarray(answer.phrase_index)[None]
    return np.asarray(np.where(same, overlap * np.minimum(left, 1), 0.0).max(axis=1))
