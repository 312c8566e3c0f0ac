"""Curated labels as training samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from pipeline.curation.negatives import negative_phrases
from schemas.records import CuratedRecord, TrainingSample

NEGATIVE_BELOW = 0.1
"""A phrase without a box is a known negative if no candidate reached this score."""


def curated_samples(
    records: Iterable[CuratedRecord],
    counts: Counter[str],
    *,
    weight_by_score: bool = False,
    negative_below: float = NEGATIVE_BELOW,
) -> Iterator[TrainingSample]:
    """Every record that has a box.

    Args:
        records: A curated run.
        counts: Gets what was read and what was left out, by reason.
        weight_by_score: Teacher boxes count by their score; others count 1 always.
        negative_below: The policy's: a phrase without a box is a negative below this score.
    """
    for record in records:
        counts["images"] += 1
        counts["boxes"] += len(record.boxes)
        if not record.boxes:
            counts["dropped: image without a box"] += 1
            continue
        yield TrainingSample(
            sample_id=record.record_id,
            image_uri=record.image_uri,
            width=record.width,
            height=record.height,
            caption=record.caption,
            boxes=tuple(box.xyxy for box in record.boxes),
            spans=tuple(
                tuple((record.phrases[i].start, record.phrases[i].end) for i in box.phrase_indices)
                for box in record.boxes
            ),
            weights=tuple(
                box.score if weight_by_score and box.origin == "teacher" else 1.0
                for box in record.boxes
            ),
            negative_spans=tuple(
                (record.phrases[i].start, record.phrases[i].end)
                for i in negative_phrases(record, negative_below)[0]
            ),
            source=record.source,
        )
