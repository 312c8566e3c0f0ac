"""Gold samples as the rows of a run: every span a phrase, every link of a box a candidate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pipeline.gold.gold_set import GoldKind, GoldSet
from schemas.records import (
    Annotation,
    GroundedBox,
    Phrase,
    Span,
    Status,
    TrainingSample,
)


def span_heads(gold: GoldSet, sample: TrainingSample) -> dict[Span, str]:
    """The category of each span of a detection sample, as the file names it; else nothing."""
    if gold.kind is not GoldKind.DETECTION:
        return {}
    heads: dict[Span, str] = {}
    for spans, category in zip(sample.spans, gold.box_categories[sample.sample_id], strict=True):
        heads[spans[0]] = gold.categories[category]
    present = set(gold.box_categories[sample.sample_id])
    absent = sorted(set(gold.absent.get(sample.sample_id, ())) - present)
    for span, category in zip(sample.negative_spans, absent, strict=False):
        heads[span] = gold.categories[category]
    return heads


def annotation_of(
    sample: TrainingSample, *, teacher_id: str, sha256: str = "", heads: Mapping[Span, str]
) -> Annotation:
    """The row of a sample. Scores are 1: a person said so; negatives have the best score 0."""
    named = {span for spans in sample.spans for span in spans}
    spans = sorted({*named, *sample.negative_spans})
    index_of = {span: index for index, span in enumerate(spans)}
    phrases = tuple(
        Phrase(
            text=sample.caption[start:end],
            start=start,
            end=end,
            head=heads.get((start, end), ""),
            best_score=1.0 if (start, end) in named else 0.0,
        )
        for start, end in spans
    )
    links = [
        (xyxy, index_of[span])
        for xyxy, own in zip(sample.boxes, sample.spans, strict=True)
        for span in own
    ]
    boxes = tuple(
        GroundedBox(
            box_id=f"{sample.sample_id}#{ordinal}",
            phrase_index=index,
            xyxy=xyxy,
            score=1.0,
            token_score=1.0,
            centerness=1.0,
        )
        for ordinal, (xyxy, index) in enumerate(links)
    )
    return Annotation(
        record_id=sample.sample_id,
        source=sample.source,
        image_uri=sample.image_uri,
        image_sha256=sha256,
        width=sample.width,
        height=sample.height,
        caption=sample.caption,
        status=Status.OK if boxes else Status.NO_BOXES if phrases else Status.NO_PHRASES,
        detail="",
        phrases=phrases,
        boxes=boxes,
        teacher_id=teacher_id,
    )


def failed_annotation(row: Annotation, status: Status, detail: str) -> Annotation:
    """The row of a sample that cannot be used, with the reason."""
    return replace(row, status=status, detail=detail, phrases=(), boxes=())
