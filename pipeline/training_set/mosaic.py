"""Four images as one: a sample whose boxes are smaller and whose caption says four things."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.training_set.detection_prompts import absent_names_of
from pipeline.training_set.example import as_sentence, last_words, shift_spans, words_of
from schemas.records import Span, TrainingSample, Xyxy

PARTS = 4


def captions_disagree(samples: Sequence[TrainingSample]) -> bool:
    """True if a caption contains the last word of a phrase that is boxed in another image.

    The word would then stand in the prompt without naming all of its objects.
    """
    nouns = [last_words(sample.caption, sample.spans) for sample in samples]
    words = [words_of(sample.caption) for sample in samples]
    return any(
        nouns[i] & words[j] for i in range(len(samples)) for j in range(len(samples)) if i != j
    )


def mosaic(
    samples: Sequence[TrainingSample], images: Sequence[NDArray[np.uint8]]
) -> tuple[TrainingSample, NDArray[np.uint8]]:
    """Put four samples into the quarters of one image of the first one's size.

    Every part is scaled to fit its quarter, at the quarter's top left; what is left is grey.
    The captions are joined in order; names known to be absent must be absent from all parts.
    """
    from PIL import Image

    height, width = images[0].shape[:2]
    half_w, half_h = (width + 1) // 2, (height + 1) // 2
    canvas = np.full((2 * half_h, 2 * half_w, 3), 114, dtype=np.uint8)
    caption = ""
    boxes: list[Xyxy] = []
    spans: list[tuple[Span, ...]] = []
    weights: list[float] = []
    for number, (sample, image) in enumerate(zip(samples, images, strict=True)):
        top, left = (number // 2) * half_h, (number % 2) * half_w
        scale = min(half_w / image.shape[1], half_h / image.shape[0])
        w, h = max(1, int(image.shape[1] * scale)), max(1, int(image.shape[0] * scale))
        small = Image.fromarray(np.ascontiguousarray(image)).resize(
            (w, h), Image.Resampling.BILINEAR
        )
        canvas[top : top + h, left : left + w] = np.asarray(small)
        caption += " " if caption and sample.caption else ""
        sx, sy = w / sample.width, h / sample.height
        boxes += [
            (x0 * sx + left, y0 * sy + top, x1 * sx + left, y1 * sy + top)
            for x0, y0, x1, y1 in sample.boxes
        ]
        spans += [shift_spans(group, len(caption)) for group in sample.spans]
        weights += sample.weights
        caption += as_sentence(sample.caption) if sample.caption else ""
    merged = TrainingSample(
        sample_id="+".join(sample.sample_id for sample in samples),
        image_uri=samples[0].image_uri,
        width=canvas.shape[1],
        height=canvas.shape[0],
        caption=caption,
        boxes=tuple(boxes),
        spans=tuple(spans),
        weights=tuple(weights),
        negative_spans=_absent_everywhere(samples),
        source=samples[0].source,
    )
    return merged, canvas


def _absent_everywhere(samples: Sequence[TrainingSample]) -> tuple[Span, ...]:
    # The first caption stands at offset 0, so its spans hold in the joined caption as well.
    shared = set.intersection(*(set(absent_names_of(sample)) for sample in samples))
    first = samples[0]
    return tuple(span for span in first.negative_spans if first.caption[slice(*span)] in shared)
