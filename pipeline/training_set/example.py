"""What the model is shown: an image's pixels with a prompt and the boxes that its words name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from schemas.errors import DataError
from schemas.records import Span, TrainingSample

_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A text and what each box is called in it.

    boxes: float32 [N, 4], half-open pixels of the image they belong to.
    spans: for each box the half-open character spans of `caption` that name it, never empty.
    weights: float32 [N], how much each box counts in the loss.
    """

    caption: str
    boxes: NDArray[np.float32]
    spans: tuple[tuple[Span, ...], ...]
    weights: NDArray[np.float32]
    drops: Counter[str] = field(default_factory=Counter)
    """Boxes and spans that were given up on the way here, by reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingExample:
    """One element of a batch: uint8 RGB [height, width, 3] and its prompt, in that frame."""

    sample_id: str
    source: str
    image: NDArray[np.uint8]
    prompt: Prompt
    short_side: int | None = None
    """Length that the model's preprocessing gives the short side; None: as it is."""
    failure: str = ""
    """Why there is no picture: `image` is then grey, the prompt empty, and nothing is learnt."""

    @classmethod
    def unreadable(cls, sample_id: str, source: str, reason: str) -> TrainingExample:
        """What stands in the place of a sample whose picture cannot be read."""
        none = np.zeros((0, 4), dtype=np.float32)
        return cls(
            sample_id=sample_id,
            source=source,
            image=np.full((32, 32, 3), 114, dtype=np.uint8),
            prompt=Prompt(caption="", boxes=none, spans=(), weights=none[:, 0]),
            failure=reason,
        )


def sample_prompt(sample: TrainingSample) -> Prompt:
    """The sample's own caption as a prompt."""
    return Prompt(
        caption=sample.caption,
        boxes=np.asarray(sample.boxes, dtype=np.float32).reshape(-1, 4),
        spans=sample.spans,
        weights=np.asarray(sample.weights, dtype=np.float32),
    )


def check_sample(sample: TrainingSample) -> None:
    """Refuse a sample that no loss could be computed from.

    Raises:
        DataError: naming the sample, the field and the value.
    """
    where = f"training sample {sample.sample_id!r}"
    if not len(sample.boxes) == len(sample.spans) == len(sample.weights):
        raise DataError(
            f"{where}: {len(sample.boxes)} boxes, {len(sample.spans)} span lists and "
            f"{len(sample.weights)} weights"
        )
    for number, (box, spans, weight) in enumerate(
        zip(sample.boxes, sample.spans, sample.weights, strict=True)
    ):
        x0, y0, x1, y1 = box
        if not (np.isfinite(box).all() and x1 > x0 and y1 > y0):
            raise DataError(f"{where}: boxes[{number}] has no area: {box!r}")
        if x0 < -1 or y0 < -1 or x1 > sample.width + 1 or y1 > sample.height + 1:
            raise DataError(
                f"{where}: boxes[{number}] {box!r} leaves the image of "
                f"{sample.width} x {sample.height} pixels"
            )
        if not spans:
            raise DataError(f"{where}: boxes[{number}] has no span")
        if not (np.isfinite(weight) and weight >= 0):
            raise DataError(f"{where}: weights[{number}] must be >= 0, got {weight!r}")
        _check_spans(sample.caption, spans, f"{where}: spans[{number}]")
    _check_spans(sample.caption, sample.negative_spans, f"{where}: negative_spans")


def _check_spans(caption: str, spans: Sequence[Span], where: str) -> None:
    for start, end in spans:
        if not 0 <= start < end <= len(caption):
            raise DataError(
                f"{where}: [{start}, {end}) is not inside the caption of {len(caption)} characters"
            )


def shift_spans(spans: Sequence[Span], by: int) -> tuple[Span, ...]:
    """The same spans after `by` characters were put before the text."""
    return tuple((start + by, end + by) for start, end in spans)


def last_words(caption: str, spans: Sequence[tuple[Span, ...]]) -> frozenset[str]:
    """The last word of every span in lower case: the head noun in nearly all English phrases."""
    words = set()
    for start, end in (span for group in spans for span in group):
        found = _WORD.findall(caption[start:end].lower())
        if found:
            words.add(found[-1])
    return frozenset(words)


def words_of(text: str) -> frozenset[str]:
    """All words of a text in lower case."""
    return frozenset(_WORD.findall(text.lower()))


def as_sentence(text: str) -> str:
    """A caption with an end, so that the next one can follow; its offsets do not move."""
    return text if text.rstrip().endswith((".", "!", "?")) else f"{text}."
