"""Images that get captions: a captioner in the place of a teacher, and what becomes of its answer.

So a captioning is a run like any other: planned, committed unit by unit, gone on with after any
stop. A row has the captions that were made, a line each, and neither phrases nor boxes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.labelling.pairs import Pair
from pipeline.labelling.rows import answered_row, failed_row
from schemas.errors import RecordError
from schemas.grounder import Grounding, GroundingRequest
from schemas.records import MADE_CAPTION, Annotation, Phrase, Status

UNCAPTIONED = "(to be captioned)"
"""Stands for the caption of an image until one is made: a pair without any is not asked about."""
HAS_ONE = "(has a caption)"
"""The same for an image that needs none."""
SEPARATOR = "\n"


class Captioner(Protocol):
    """Anything that makes captions of images."""

    @property
    def model_id(self) -> str:
        """Kind and content hash of the weights, e.g. `blip@3f2a9c01d2e4`."""
        ...

    def fingerprint(self) -> Mapping[str, object]:
        """Everything that changes the captions, as JSON; its `task` is `caption`."""
        ...

    def caption(self, images: Sequence[NDArray[np.uint8]]) -> list[tuple[str, ...]]:
        """Captions of each image [height, width, 3], none where it has no words for it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeCaptions(Grounding):
    """An answer without boxes, and with captions; None where none was asked for."""

    captions: tuple[str, ...] | None


class CaptionGrounder:
    """A captioner that is asked as a teacher is."""

    def __init__(self, captioner: Captioner) -> None:
        self._captioner = captioner

    @property
    def teacher_id(self) -> str:
        """The captioner's."""
        return self._captioner.model_id

    def fingerprint(self) -> Mapping[str, object]:
        """The captioner's."""
        return self._captioner.fingerprint()

    def ground(self, requests: Sequence[GroundingRequest]) -> list[Grounding]:
        """The captions of each image that has none."""
        wanted = [request for request in requests if request.caption != HAS_ONE]
        made = iter(self._captioner.caption([request.image for request in wanted]))
        return [_answer(None if r.caption == HAS_ONE else next(made)) for r in requests]


class NoPhrases:
    """The parser of a captioning: there is nothing to cut yet."""

    def extract(self, captions: Sequence[str]) -> list[tuple[Phrase, ...]]:
        """No phrase for each caption."""
        return [()] * len(captions)

    def fingerprint(self) -> dict[str, object]:
        """Nothing changes it."""
        return {}


def captioned_row(pair: Pair, answer: Grounding, teacher_id: str) -> Annotation:
    """The row of an image that was captioned."""
    captions = answer.captions if isinstance(answer, MadeCaptions) else ()
    if captions is None:
        # Another status than that of captioned images, so that markers count the two apart.
        row = answered_row(pair, answer, teacher_id)
        return replace(row, caption="", status=Status.NO_BOXES)
    if not captions:
        pair.fail(RecordError(Status.TEACHER_FAILED, "the captioner made no words"))
        return failed_row(pair, teacher_id)
    row = answered_row(pair, answer, teacher_id)
    return replace(row, caption=SEPARATOR.join(captions), caption_origin=MADE_CAPTION)


def _answer(captions: tuple[str, ...] | None) -> MadeCaptions:
    floats = np.zeros(0, np.float32)
    return MadeCaptions(
        xyxy=np.zeros((0, 4), np.float32),
        phrase_index=np.zeros(0, np.int64),
        score=floats,
        token_score=floats,
        centerness=floats,
        phrase_best_score=floats,
        phrase_status=(),
        captions=captions,
    )
