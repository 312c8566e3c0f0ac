"""What a run is told about itself while it trains: figures and pictures on held-out gold."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jobs.recipe import Recipe, SourceSpec
from jobs.training_data import read_image
from jobs.training_sources import load_sources
from pipeline.training_set.mixture import TrainingSource
from schemas.boxes import pairwise_iou
from schemas.grounder import Grounding, GroundingRequest
from schemas.records import Phrase, Span, TrainingSample

if TYPE_CHECKING:
    from torch import nn

    from model.config import GlipConfig
    from model.preprocess import Preprocessor
    from model.teacher import Teacher
    from model.tokenizer import GlipTokenizer

IOU_THRESHOLD = 0.5
NUM_PICTURES = 6


def make_evaluation(
    recipe: Recipe,
    config: GlipConfig,
    tokenizer: GlipTokenizer,
    preprocessor: Preprocessor,
    out: Path,
) -> Callable[[nn.Module, int], Mapping[str, float]] | None:
    """The evaluation that the recipe asks for; None if it names no source.

    For each source: `r1` and `r5`, the share of phrases (of names, for detection gold: of the
    image's own) with a box of IoU >= 0.5 at the best, or the best five, of their candidates.
    """
    if not recipe.evaluation:
        return None
    specs = [_limited(spec, recipe.evaluation_images) for spec in recipe.evaluation]
    sources, _ = load_sources(specs)

    def evaluate(model: nn.Module, step: int) -> dict[str, float]:
        teacher = _teacher(model, config, tokenizer, preprocessor)
        figures: dict[str, float] = {}
        for source in sources:
            answers = list(_answers(teacher, source))
            for name, limit in (("r1", 1), ("r5", 5)):
                figures[f"{source.name}/{name}"] = phrase_recall(answers, limit)
            directory = out / "evaluation" / f"step-{step:09d}"
            directory.mkdir(parents=True, exist_ok=True)
            _pictures(answers[:NUM_PICTURES], directory / f"{source.name}.png")
        return figures

    return evaluate


Answer = tuple[TrainingSample, tuple[Span, ...], Grounding]
"""A sample, the distinct spans that were asked for, and what was found for them."""


def phrase_recall(answers: Sequence[Answer], limit: int) -> float:
    """Share of the phrases with a gold box under one of their `limit` best candidates."""
    hits = total = 0
    for sample, spans, found in answers:
        for number, span in enumerate(spans):
            gold = [box for box, own in zip(sample.boxes, sample.spans, strict=True) if span in own]
            best = found.xyxy[found.phrase_index == number][:limit]
            total += 1
            hits += bool((pairwise_iou(best, gold) >= IOU_THRESHOLD).any())
    return hits / max(total, 1)


def _answers(teacher: Teacher, source: TrainingSource) -> Iterator[Answer]:
    for sample in source.samples:
        spans = tuple(dict.fromkeys(span for group in sample.spans for span in group))
        request = GroundingRequest(
            image=read_image(sample.image_uri),
            caption=sample.caption,
            phrases=tuple(Phrase(text=sample.caption[a:b], start=a, end=b) for a, b in spans),
        )
        yield sample, spans, teacher.ground([request])[0]


def _pictures(answers: Sequence[Answer], path: Path) -> None:
    from pipeline.draw import contact_sheet, draw_boxes, draw_caption, phrase_color

    if not answers:
        return
    images, captions = [], []
    for sample, spans, found in answers:
        best = [
            int(np.flatnonzero(found.phrase_index == number)[0])
            for number in range(len(spans))
            if (found.phrase_index == number).any()
        ]
        names = [sample.caption[slice(*spans[found.phrase_index[i]])] for i in best]
        images.append(
            draw_boxes(
                read_image(sample.image_uri),
                found.xyxy[best],
                names,
                [float(found.score[i]) for i in best],
                [phrase_color(int(found.phrase_index[i])) for i in best],
            )
        )
        colors = [phrase_color(number) for number in range(len(spans))]
        captions.append(draw_caption(sample.caption, spans, 320, colors))
    contact_sheet(images, captions).save(path)


def _teacher(
    model: nn.Module,
    config: GlipConfig,
    tokenizer: GlipTokenizer,
    preprocessor: Preprocessor,
) -> Teacher:
    from model.teacher import Teacher
    from model.teacher_options import TeacherOptions

    return Teacher(
        model=model,  # type: ignore[arg-type]
        tokenizer=tokenizer,
        preprocessor=preprocessor,
        teacher_id=f"{config.preset}@training",
        weights={},
        options=TeacherOptions(score_floor=0.0, token_threshold=0.01),
        device=next(model.parameters()).device,
        max_tokens=config.max_tokens,
    )


def _limited(spec: SourceSpec, limit: int) -> SourceSpec:
    from dataclasses import replace

    return spec if spec.limit else replace(spec, limit=limit)
