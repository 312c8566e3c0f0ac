"""What a run is told about itself while it trains: figures and pictures on held-out gold."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from jobs.training.data import read_image
from jobs.training.recipe import Recipe, SourceSpec, source_labels
from pipeline.gold import GoldKind, GoldSet, load_gold
from schemas.errors import ConfigError, DataError, RecordError
from schemas.grounder import Grounding, GroundingRequest
from schemas.records import Phrase, Span, TrainingSample
from schemas.spread import evenly_spread

if TYPE_CHECKING:
    from torch import nn

    from model.config import GlipConfig
    from model.inputs.preprocess import Preprocessor
    from model.inputs.tokenizer import GlipTokenizer
    from model.teacher.glip import Teacher

NUM_PICTURES = 6
Answer = tuple[TrainingSample, tuple[Span, ...], Grounding]
"""A sample, the distinct spans that were asked for, and what was found for them."""


def make_evaluation(
    recipe: Recipe,
    config: GlipConfig,
    tokenizer: GlipTokenizer,
    preprocessor: Preprocessor,
    out: Path,
    say: Callable[[str], None],
) -> Callable[[nn.Module, int], Mapping[str, float]] | None:
    """The evaluation that the recipe asks for; None if it names no source.

    Grounding gold gives `r1`, `r5` and the floor `chance_r1`; detection gold gives `ap50`,
    `agnostic_recall` and `chance_ap50`, as `glipforge evaluate` measures them. An image that cannot
    be read, or has another size than gold says, is left out and counted as `unreadable`; `say` gets
    the first one's name and reason.

    Raises:
        ConfigError: a source is not gold, or none of its images can be read.
    """
    if not recipe.evaluation:
        return None
    labels = source_labels(recipe.evaluation, "evaluation")
    gold_sets = [
        _load(replace(spec, name=label), recipe.evaluation_images)
        for label, spec in zip(labels, recipe.evaluation, strict=True)
    ]
    told: set[str] = set()

    def evaluate(model: nn.Module, step: int) -> dict[str, float]:
        teacher = _teacher(model, config, tokenizer, preprocessor)
        directory = out / "evaluation" / f"step-{step:09d}"
        directory.mkdir(parents=True, exist_ok=True)
        figures: dict[str, float] = {}
        for name, gold in gold_sets:
            failures: dict[str, str] = {}
            samples = tuple(sample for sample, _ in _images(gold, failures))
            sentence = _require_some(name, gold, failures) if failures else ""
            found = _figures(teacher, replace(gold, samples=samples))
            if failures:
                found["unreadable"] = float(len(failures))
                if name not in told:
                    told.add(name)
                    say(sentence)
            pictured = evenly_spread(samples, NUM_PICTURES)
            answers = list(_ground(teacher, replace(gold, samples=pictured)))
            _pictures(answers, directory / f"{_file_name(name)}.png")
            figures |= {f"{name}/{figure}": value for figure, value in found.items()}
        return figures

    return evaluate


def _load(spec: SourceSpec, limit: int) -> tuple[str, GoldSet]:
    if spec.gold is None:
        raise ConfigError(f"evaluation: {spec.label!r} is not gold data: nothing can be measured")
    gold = load_gold(spec.gold, spec.format, image_root=spec.image_root)
    if gold.kind == GoldKind.DETECTION and not any(sample.boxes for sample in gold.samples):
        raise ConfigError(
            f"evaluation source {spec.label!r} has {len(gold.samples)} images and no annotation; "
            "nothing can be measured"
        )
    gold = replace(gold, samples=evenly_spread(gold.samples, spec.limit or limit))
    failures: dict[str, str] = {}
    if not any(True for _ in _images(gold, failures)):  # stops at the first good one
        try:
            _require_some(spec.label, gold, failures)
        except DataError as error:
            raise ConfigError(str(error)) from error
    return spec.label, gold


def _file_name(name: str) -> str:
    """A name of a source as one part of a path; two names stay two."""
    return name.replace("%", "%25").replace("/", "%2F")


def _images(
    gold: GoldSet, failures: dict[str, str]
) -> Iterator[tuple[TrainingSample, NDArray[np.uint8]]]:
    """The samples whose images are as gold says; the others' reasons go into `failures`."""
    for sample in gold.samples:
        try:
            image = read_image(sample.image_uri)
        except RecordError as error:
            failures[sample.sample_id] = str(error)
            continue
        height, width = image.shape[:2]
        if (width, height) == (sample.width, sample.height):
            yield sample, image
        else:  # its boxes are of another picture, or of one that was turned
            failures[sample.sample_id] = (
                f"it has {width} x {height} pixels, gold says {sample.width} x {sample.height}"
            )


def _require_some(name: str, gold: GoldSet, failures: Mapping[str, str]) -> str:
    """A sentence about the unreadable images.

    Raises:
        DataError: there is no other.
    """
    if not gold.samples:
        raise DataError(f"evaluation source {name!r} has no sample")
    sample_id, reason = next(iter(failures.items()))
    told = (
        f"evaluation source {name!r}: {len(failures)} of {len(gold.samples)} images cannot be "
        f"used; the first is {sample_id!r}: {reason}"
    )
    if len(failures) == len(gold.samples):
        raise DataError(told)
    return f"{told}. The figures are of the others"


def _figures(teacher: Teacher, gold: GoldSet) -> dict[str, float]:
    """What `glipforge evaluate` measures, a few figures of it."""
    from pipeline.evaluation.teacher import TeacherQuestions, teacher_figures

    if gold.kind == GoldKind.GROUNDING and not any(sample.boxes for sample in gold.samples):
        return {}
    measured = teacher_figures(teacher, gold, TeacherQuestions())
    if measured.detection is not None:
        return {
            "ap50": measured.detection.ap50.value,
            "agnostic_recall": measured.detection.agnostic_recall.value,
            "chance_ap50": measured.detection.chance_ap50,
        }
    recall = measured.recalls[0]
    return {
        "r1": recall.recall[1].value,
        "r5": recall.recall[5].value,
        "chance_r1": recall.chance[1].value,
    }


def _ground(teacher: Teacher, gold: GoldSet) -> Iterator[Answer]:
    for sample in gold.samples:
        spans = tuple(sorted({span for group in sample.spans for span in group}))
        request = GroundingRequest(
            image=read_image(sample.image_uri),
            caption=sample.caption,
            phrases=tuple(Phrase(text=sample.caption[a:b], start=a, end=b) for a, b in spans),
        )
        yield sample, spans, teacher.ground([request])[0]


def _pictures(answers: Sequence[Answer], path: Path) -> None:
    from pipeline.images.draw import contact_sheet, draw_boxes, draw_caption
    from pipeline.images.palette import phrase_color

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
    from model.teacher.glip import Teacher
    from model.teacher.options import TeacherOptions

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
