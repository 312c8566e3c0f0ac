"""Builders of small samples for the training set's tests."""

from __future__ import annotations

import numpy as np

from schemas.records import Span, TrainingSample

GREY = np.full((100, 200, 3), 90, dtype=np.uint8)


def sample(
    caption: str = "a red cat and a dog",
    phrases: tuple[str, ...] = ("a red cat", "a dog"),
    sample_id: str = "s0",
    absent: tuple[str, ...] = (),
) -> TrainingSample:
    """One box per phrase, side by side in an image of 200 x 100 pixels."""
    spans = tuple((span_of(caption, phrase),) for phrase in phrases)
    boxes = tuple((10.0 + 40 * i, 20.0, 40.0 + 40 * i, 80.0) for i in range(len(phrases)))
    return TrainingSample(
        sample_id=sample_id,
        image_uri=f"{sample_id}.png",
        width=200,
        height=100,
        caption=caption,
        boxes=boxes,
        spans=spans,
        weights=(1.0,) * len(boxes),
        negative_spans=tuple(span_of(caption, phrase) for phrase in absent),
        source="test",
    )


def span_of(caption: str, phrase: str) -> Span:
    """The first place of a phrase: the tests' captions name each phrase once."""
    start = caption.index(phrase)
    return (start, start + len(phrase))


def count_words(text: str) -> int:
    """A tokenizer for tests: words and periods."""
    return len(text.replace(".", " . ").split())


def texts(caption: str, spans: tuple[tuple[Span, ...], ...]) -> list[list[str]]:
    """What the spans say."""
    return [[caption[a:b] for a, b in group] for group in spans]
