"""Boxes of a category whose name is empty: nothing can be learnt of them, and nothing is lost by it
but themselves."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from schemas.records import Span, TrainingSample

NAMELESS = "dropped: box: its category has no name"


def without_nameless(sample: TrainingSample, counts: Counter[str]) -> TrainingSample:
    """The sample without boxes that no word names; each is counted."""

    def has_words(span: Span) -> bool:
        start, end = span
        # One outside of the caption is another fault, which is reported as such.
        return start != end and (
            end > len(sample.caption) or bool(sample.caption[start:end].strip())
        )

    spans = [tuple(filter(has_words, own)) for own in sample.spans]
    keep = [number for number, own in enumerate(spans) if own or not sample.spans[number]]
    negatives = tuple(filter(has_words, sample.negative_spans))
    if len(keep) == len(spans) and negatives == sample.negative_spans:
        return sample
    counts[NAMELESS] += len(spans) - len(keep)
    return replace(
        sample,
        boxes=tuple(sample.boxes[number] for number in keep),
        spans=tuple(spans[number] for number in keep),
        weights=tuple(sample.weights[number] for number in keep),
        negative_spans=negatives,
    )
