"""Asks a teacher about every gold image and measures its answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from pipeline.evaluation.detected import Detected, best_of_category
from pipeline.evaluation.detection import (
    FIXED_AP_DETECTIONS,
    LVIS_DETECTIONS,
    detection_figures,
)
from pipeline.evaluation.gold_pictures import Pixels, picture_batches, require_some
from pipeline.evaluation.phrase_recall import PhraseImage, gold_phrases, phrase_recalls
from pipeline.evaluation.result import EvaluationResult
from pipeline.gold.checks import clean_name
from pipeline.gold.gold_set import GoldKind, GoldSet
from schemas.boxes import as_boxes
from schemas.errors import ConfigError
from schemas.grounder import Grounding, GroundingRequest
from schemas.records import Phrase, PhraseStatus, TrainingSample
from schemas.spread import evenly_spread

MAX_DETECTIONS = 100
"""Per image, all categories together, on exhaustive gold."""
PRUNE_AT = 2_000_000
"""Detections that are held before those that cannot count any more are let go."""
MAX_NAMED = 10


class DetectingTeacher(Protocol):
    """What is asked of a teacher: phrases of captions, and lists of names."""

    @property
    def teacher_id(self) -> str: ...

    def ground(self, requests: Sequence[GroundingRequest]) -> list[Grounding]: ...

    def detect_batch(self, images: Sequence[Pixels], names: Sequence[str]) -> list[Grounding]: ...


@dataclass(frozen=True, kw_only=True)
class TeacherQuestions:
    """Which gold images are asked, and for which names."""

    limit: int = 0
    """So many images, evenly spread; 0: all."""
    negatives: int = -1
    """Detection: other categories beside the image's own; -1: all."""
    seed: int = 0
    """Of the drawn negatives."""
    batch_size: int = 8
    """Images handed to the teacher at once."""
    prompts: Mapping[str, str] = field(default_factory=dict)
    """Detection: category -> the words to ask for in place of its name."""

    def words(self, category: str) -> str:
        """What is asked for a category."""
        return self.prompts.get(category) or clean_name(category)


def teacher_figures(
    teacher: DetectingTeacher,
    gold: GoldSet,
    questions: TeacherQuestions,
    progress: Callable[[int], None] = lambda done: None,
) -> EvaluationResult:
    """Phrase recall on grounding gold, AP on detection gold.

    The phrases asked for are gold's own spans (Flickr30k's protocol), so no parser plays a part.
    Images that cannot be read, or have another size than gold says, are left out and counted.

    Raises:
        ConfigError: not one gold image can be used.
    """
    result, left_out = EvaluationResult.of_gold(teacher.teacher_id, gold), Counter[str]()
    samples = evenly_spread(gold.samples, questions.limit)
    if gold.kind == GoldKind.GROUNDING:
        samples = tuple(sample for sample in samples if sample.boxes)
    batches = picture_batches(samples, questions.batch_size, left_out)
    if gold.kind == GoldKind.GROUNDING:
        answers = list(_ground(teacher, batches, progress))
        require_some(len(answers), gold, left_out)
        seen, images = zip(*answers, strict=True)
        result.recalls = phrase_recalls(images, seen, gold)
        if all(span == (0, len(one.caption)) for one in seen for own in one.spans for span in own):
            result.notes.append(
                "every phrase is its whole caption: R@1 (any-box) is the accuracy of RefCOCO"
            )
    else:
        asked: dict[str, list[int]] = {}
        unseen: set[int] = set()
        detected = _kept(gold, _detect(teacher, gold, batches, questions, asked, unseen, progress))
        require_some(len(detected), gold, left_out)
        result.detection = detection_figures(gold, detected, asked=asked)
        result.notes.append(_prompt_note(gold, questions, len(unseen)))
        if unseen:
            result.notes.append(_unseen_note([gold.categories[c] for c in sorted(unseen)]))
    for reason, number in left_out.items():
        result.notes.append(f"{number} gold images left out: {reason}")
    return result


def _ground(
    teacher: DetectingTeacher,
    batches: Iterator[list[tuple[TrainingSample, Pixels]]],
    progress: Callable[[int], None],
) -> Iterator[tuple[TrainingSample, PhraseImage]]:
    done = 0
    for batch in batches:
        phrases = [gold_phrases(sample) for sample, _ in batch]
        requests = [
            GroundingRequest(
                image=pixels,
                caption=sample.caption,
                phrases=tuple(
                    Phrase(text=sample.caption[slice(*p.span)], start=p.span[0], end=p.span[1])
                    for p in own
                ),
            )
            for (sample, pixels), own in zip(batch, phrases, strict=True)
        ]
        for (sample, _), own, found in zip(batch, phrases, teacher.ground(requests), strict=True):
            boxes = as_boxes(found.xyxy)
            order = np.argsort(-found.score, kind="stable")
            ranked = [
                boxes[order[found.phrase_index[order] == number]] for number in range(len(own))
            ]
            yield sample, PhraseImage(phrases=own, ranked=tuple(ranked))
        done += len(batch)
        progress(done)


def _detect(
    teacher: DetectingTeacher,
    gold: GoldSet,
    batches: Iterator[list[tuple[TrainingSample, Pixels]]],
    questions: TeacherQuestions,
    asked_of: dict[str, list[int]],
    unseen: set[int],
    progress: Callable[[int], None],
) -> Iterator[tuple[str, Detected]]:
    """(sample_id, detections) of every image; writes the asked categories into `asked_of`, and
    into `unseen` those that no prompt could hold."""
    generator = np.random.default_rng(questions.seed)
    everything = list(range(len(gold.categories)))
    done = 0
    for batch in batches:
        if questions.negatives < 0:
            asked = [everything] * len(batch)
            names = [questions.words(name) for name in gold.categories]
            answers = teacher.detect_batch([pixels for _, pixels in batch], names)
        else:
            asked = [
                _drawn_names(gold, sample, questions.negatives, generator) for sample, _ in batch
            ]
            answers = [
                teacher.detect_batch([pixels], [questions.words(gold.categories[c]) for c in own])[
                    0
                ]
                for (_, pixels), own in zip(batch, asked, strict=True)
            ]
        for (sample, _), own, found in zip(batch, asked, answers, strict=True):
            asked_of[sample.sample_id] = own
            unseen.update(
                category
                for category, status in zip(own, found.phrase_status, strict=True)
                if status == PhraseStatus.TRUNCATED
            )
            answer = Detected(
                xyxy=as_boxes(found.xyxy),
                categories=np.asarray(own, dtype=np.int64)[found.phrase_index],
                scores=found.score.astype(np.float64),
            )
            yield sample.sample_id, answer
        done += len(batch)
        progress(done)


def _kept(gold: GoldSet, answers: Iterator[tuple[str, Detected]]) -> dict[str, Detected]:
    """What the protocol takes: 100 detections an image, or on federated gold those that can be
    among the best of their category or image, so that memory does not grow with the images."""
    kept: dict[str, Detected] = {}
    if gold.is_exhaustive:
        return {sample_id: answer.best(MAX_DETECTIONS) for sample_id, answer in answers}
    held, allowed = 0, PRUNE_AT
    for sample_id, answer in answers:
        kept[sample_id] = answer
        held += len(answer.scores)
        if held > allowed:
            kept = best_of_category(kept, FIXED_AP_DETECTIONS, of_image=LVIS_DETECTIONS)
            held = sum(len(one.scores) for one in kept.values())
            allowed = max(PRUNE_AT, 2 * held)
    return kept


def _drawn_names(
    gold: GoldSet, sample: TrainingSample, number: int, generator: np.random.Generator
) -> list[int]:
    present = sorted(set(gold.box_categories[sample.sample_id]))
    others = np.setdiff1d(np.arange(len(gold.categories)), present)
    drawn = generator.choice(others, size=min(number, len(others)), replace=False)
    names = [*present, *(int(category) for category in drawn)]
    if not names:
        raise ConfigError(
            f"negatives must be at least 1 where an image has no box, got {number} "
            f"({sample.sample_id!r})"
        )
    return [names[i] for i in generator.permutation(len(names))]


def _unseen_note(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name[:40]) for name in names[:MAX_NAMED])
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return (
        f"{len(names)} categories were not asked, since the teacher has no word for their name or "
        f"it is too long, and count as not found: {shown}{more}"
    )


def _prompt_note(gold: GoldSet, questions: TeacherQuestions, num_unseen: int) -> str:
    if questions.negatives < 0:
        number = len(gold.categories) - num_unseen
        which = f"{number} of {len(gold.categories)}" if num_unseen else f"all {number}"
        note = f"asked for {which} categories in every image"
    else:
        note = (
            f"asked for the image's own categories and {questions.negatives} others: figures are "
            "higher than with all categories"
        )
    if questions.prompts:
        note += f"; {len(questions.prompts)} of them in other words than their name"
    if gold.format == "lvis":
        note += "; AP is LVIS's fixed AP (boxes; 10,000 a category, no limit per image)"
    return note
