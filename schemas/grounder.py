"""The seam between the pipeline and the model: what a teacher is asked, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from schemas.records import Phrase, PhraseStatus

TOGETHER = " + "
"""Between the ids of teachers that were asked together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroundingRequest:
    """One image and the phrases to find in it.

    image: uint8 RGB [height, width, 3], EXIF already applied.
    phrases: spans into `caption`, in any order; only those with status OK are asked for.
    """

    image: NDArray[np.uint8]
    caption: str
    phrases: tuple[Phrase, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grounding:
    """A teacher's answer for one request: K candidates, best score first.

    xyxy: float32 [K, 4], half-open pixels of the request's image, inside it.
    phrase_index: int64 [K], index into the request's `phrases`.
    score, token_score, centerness: float32 [K] in [0, 1]; score = sqrt(token_score x centerness).
    phrase_best_score: float32 [number of phrases], best score anywhere, also below the floor;
        0 for phrases that were not asked for or not seen.
    phrase_status: one per phrase: what the teacher could make of it (OK or TRUNCATED; the
        request's own NOT_VISUAL is passed through).
    """

    xyxy: NDArray[np.float32]
    phrase_index: NDArray[np.int64]
    score: NDArray[np.float32]
    token_score: NDArray[np.float32]
    centerness: NDArray[np.float32]
    phrase_best_score: NDArray[np.float32]
    phrase_status: tuple[PhraseStatus, ...]
    proposed_by: tuple[str, ...] = ()
    """Of an ensemble [K]: the teachers that found each, joined by `TOGETHER`; else empty."""

    def take(self, index: NDArray[np.int64]) -> Grounding:
        """The same with some of its candidates, in the order given."""
        return replace(
            self,
            xyxy=self.xyxy[index],
            phrase_index=self.phrase_index[index],
            score=self.score[index],
            token_score=self.token_score[index],
            centerness=self.centerness[index],
            proposed_by=tuple(self.proposed_by[i] for i in index) if self.proposed_by else (),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreFacts:
    """What the scores of a teacher are. Scores of two teachers cannot be compared.

    recommended_threshold: in (0, 1); above it a box is a label by the habit of the teacher's
        authors. A place to start from, no measured precision.
    meaning: how the score comes about, in a line.
    """

    recommended_threshold: float
    meaning: str


@runtime_checkable
class Grounder(Protocol):
    """Anything that finds boxes for phrases: the GLIP teacher, or a fake in the tests."""

    @property
    def teacher_id(self) -> str:
        """Preset name and content hash of the weights, e.g. `glip-nano@3f2a9c01d2e4`."""
        ...

    def fingerprint(self) -> Mapping[str, object]:
        """Everything that changes the answers: weights hash, sizes, thresholds, dtype. JSON."""
        ...

    def ground(self, requests: Sequence[GroundingRequest]) -> list[Grounding]:
        """Answer every request, in order.

        Raises:
            RecordError: exactly one request was given and the model cannot answer it. With more
                than one request any exception means "ask one by one".
        """
        ...
