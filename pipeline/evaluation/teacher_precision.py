"""How many of the labels that a teacher would make of gold images are right.

It is asked as a labelling asks it, a policy makes labels of its candidates, and gold judges each: a
label is right where it lies on a gold box of its phrase or category, IoU >= 0.5. Labels that gold
cannot judge (a category of which it has not boxed all, the region of a crowd) are counted apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.curation.rules.candidates import candidates_of_rows
from pipeline.curation.rules.filters import filter_candidates
from pipeline.curation.rules.policy import FilterPolicy
from pipeline.evaluation.bootstrap import CONFIDENCE, ratio_interval
from pipeline.evaluation.gold_pictures import Pixels, picture_batches, require_some
from pipeline.evaluation.phrase_recall import HIT_IOU, gold_phrases
from pipeline.gold.checks import clean_name
from pipeline.gold.gold_set import GoldKind, GoldSet
from pipeline.labelling.pairs import Pair
from pipeline.labelling.retries import Retries
from pipeline.labelling.rows import answered_row
from pipeline.phrases.class_list import ClassList, list_caption
from pipeline.trust.bounds import interval
from schemas.boxes import as_boxes, box_areas, pairwise_iou
from schemas.errors import ConfigError, RecordError, RetryableError
from schemas.fingerprint import sha256_bytes
from schemas.grounder import Grounder, Grounding, GroundingRequest
from schemas.records import CorpusRecord, Phrase, Status, TrainingSample
from schemas.spread import evenly_spread

BATCH = 8
Boxes = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherPrecision:
    """What gold says of a teacher's labels."""

    teacher_id: str
    policy_id: str
    gold: str
    images: int
    """Gold images that the teacher was asked about."""
    labels: int
    """Labels that gold can judge."""
    right: int
    unjudged: int
    """Labels that gold cannot judge."""
    precision: float
    """NaN without a label."""
    low: float
    high: float
    """The wider of two intervals at confidence 0.95: the bootstrap over images, because boxes of
    one image are not independent, and Clopper and Pearson's, because few images hide errors."""
    left_out: tuple[str, ...] = ()
    """`<number> images: <reason>`."""

    def sentence(self) -> str:
        """In words."""
        if not self.labels:
            return f"no label that gold {self.gold!r} can judge on {self.images:,} images"
        return (
            f"precision {self.precision:.3f} ({self.low:.3f} to {self.high:.3f} at confidence "
            f"{CONFIDENCE:g}; {self.right:,} of {self.labels:,} labels of policy {self.policy_id} "
            f"are right on {self.images:,} images of gold {self.gold!r})"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """What a gold image is asked for, and what would be right; one entry a phrase."""

    caption: str
    phrases: tuple[Phrase, ...]
    boxes: tuple[Boxes, ...]
    """Gold boxes of each phrase."""
    is_complete: tuple[bool, ...]
    """False where not every thing that the phrase means has a box: a label elsewhere may be
    right."""
    ignored: tuple[Boxes, ...]
    """Regions in which a label is neither right nor wrong."""


def teacher_precision(
    teacher: Grounder,
    gold: GoldSet,
    policy: FilterPolicy,
    *,
    classes: ClassList | None = None,
    limit: int = 0,
    progress: Callable[[int], object] = lambda done: None,
) -> TeacherPrecision:
    """Ask a teacher about gold images and judge what a policy keeps of its answers.

    Grounding gold is asked for its own phrases; detection gold for every category that gold judges
    in that image, present or absent, as a class list; or for the classes of a run.

    Args:
        teacher: what a worker would load.
        gold: boxes of people.
        policy: makes labels of candidates; neither `min_precision` nor layers exist here.
        classes: of a run over classes, whose teacher answers them alone: those that are categories
            of the gold are judged.
        limit: so many images, evenly spread; 0: all.
        progress: called with the images asked about so far.

    Raises:
        ConfigError: not one gold image can be used, or the policy needs what is not here.
    """
    left_out, retries = Counter[str](), Retries()
    counts: list[tuple[int, int, int]] = []
    if classes is not None:
        _require_known(classes, gold)
    questions = {
        one.sample_id: _of_phrases(one)
        if gold.kind == GoldKind.GROUNDING
        else _of_categories(one, gold, classes)
        for one in gold.samples
    }
    samples = evenly_spread(tuple(s for s in gold.samples if questions[s.sample_id].phrases), limit)
    done = 0
    for batch in picture_batches(samples, BATCH, left_out):
        asked = [questions[sample.sample_id] for sample, _ in batch]
        for (sample, pixels), question, answer in zip(
            batch, asked, _answers(teacher, batch, asked, left_out, retries), strict=True
        ):
            if answer is not None:
                counts.append(_judge(sample, pixels, question, answer, teacher.teacher_id, policy))
        done += len(batch)
        progress(done)
    require_some(len(counts), gold, left_out)
    right, labels, unjudged = np.array(counts).T
    spread = ratio_interval(right, labels)
    total, hits = int(labels.sum()), int(right.sum())
    low, high = interval(hits, total, CONFIDENCE)
    return TeacherPrecision(
        teacher_id=teacher.teacher_id,
        policy_id=policy.policy_id,
        gold=gold.name,
        images=len(counts),
        labels=total,
        right=hits,
        unjudged=int(unjudged.sum()),
        precision=hits / total if total else float("nan"),
        low=float(np.nanmin([low, spread.low])),
        high=float(np.nanmax([high, spread.high])),
        left_out=tuple(f"{number} images: {reason}" for reason, number in left_out.items()),
    )


def _require_known(classes: ClassList, gold: GoldSet) -> None:
    if gold.kind == GoldKind.GROUNDING:
        raise ConfigError(
            f"gold {gold.name!r} is of phrases; classes are judged by gold boxes of categories"
        )
    known = {clean_name(name).lower() for name in gold.categories}
    if known.isdisjoint(name.lower() for name in classes.names):
        raise ConfigError(
            f"not one of the classes ({', '.join(classes.names[:5])}) is a category of gold "
            f"{gold.name!r} ({', '.join(gold.categories[:5])}, ...)"
        )


def _of_phrases(sample: TrainingSample) -> _Question:
    own = gold_phrases(sample)
    return _Question(
        caption=sample.caption,
        phrases=tuple(
            Phrase(text=sample.caption[slice(*p.span)], start=p.span[0], end=p.span[1]) for p in own
        ),
        boxes=tuple(phrase.xyxy for phrase in own),
        is_complete=(True,) * len(own),
        ignored=(np.zeros((0, 4)),) * len(own),
    )


def _of_categories(sample: TrainingSample, gold: GoldSet, classes: ClassList | None) -> _Question:
    category_of = np.asarray(gold.box_categories[sample.sample_id], dtype=np.int64)
    judged = set(category_of.tolist()) | set(gold.absent.get(sample.sample_id, ()))
    if gold.is_exhaustive:
        judged = set(range(len(gold.categories)))
    if classes is None:
        numbers = sorted(judged)
        caption, phrases = list_caption([clean_name(gold.categories[n]) for n in numbers])
    else:
        caption, phrases = classes.caption, classes.phrases
        known = {clean_name(name).lower(): n for n, name in enumerate(gold.categories)}
        numbers = [known.get(name.lower(), -1) for name in classes.names]
    boxes = as_boxes(sample.boxes)
    complete = judged.difference(gold.not_exhaustive.get(sample.sample_id, ()))
    crowds = gold.ignored.get(sample.sample_id, ())
    return _Question(
        caption=caption,
        phrases=phrases,
        boxes=tuple(boxes[category_of == number] for number in numbers),
        is_complete=tuple(number in complete for number in numbers),
        ignored=tuple(as_boxes([c.xyxy for c in crowds if c.category == n]) for n in numbers),
    )


def _answers(
    teacher: Grounder,
    batch: Sequence[tuple[TrainingSample, Pixels]],
    asked: Sequence[_Question],
    left_out: Counter[str],
    retries: Retries,
) -> Iterator[Grounding | None]:
    """As `Grounder.ground` wants it: an error of many means that each is asked alone."""
    requests = [
        GroundingRequest(image=pixels, caption=one.caption, phrases=one.phrases)
        for (_, pixels), one in zip(batch, asked, strict=True)
    ]
    try:
        found = teacher.ground(requests)
    except (ConfigError, RetryableError):
        raise
    except Exception as error:  # whatever it is: which request it was is known of one alone
        retries.count("teacher", len(requests), error)
        found = []
    if found:
        yield from found
        return
    for request in requests:
        try:
            yield teacher.ground([request])[0]
        except (ConfigError, RetryableError):
            raise
        except Exception as error:
            status = error.status if isinstance(error, RecordError) else Status.TEACHER_FAILED
            left_out[str(status)] += 1
            yield None


def _judge(
    sample: TrainingSample,
    pixels: Pixels,
    question: _Question,
    answer: Grounding,
    teacher_id: str,
    policy: FilterPolicy,
) -> tuple[int, int, int]:
    """Right labels, labels that gold judges, labels that it cannot judge."""
    record = CorpusRecord(
        record_id=sample.sample_id, source="", caption=question.caption, image_uri=sample.image_uri
    )
    pair = Pair(
        ordinal=0,
        record=record,
        phrases=question.phrases,
        size_wh=(sample.width, sample.height),
        sha256=sha256_bytes(pixels.tobytes()),
    )
    row = answered_row(pair, answer, teacher_id)
    if row.status is Status.TEACHER_FAILED:
        raise ConfigError(f"teacher {teacher_id}, gold image {sample.image_uri!r}: {row.detail}")
    candidates = candidates_of_rows([row])
    outcome = filter_candidates(candidates, policy)
    kept = np.flatnonzero((outcome.codes <= 1) & (outcome.image_codes[candidates.row_of] == 0))
    boxes, phrase_of = candidates.boxes_at(kept), candidates.phrase_of[kept]
    right = labels = unjudged = 0
    for number, gold_boxes in enumerate(question.boxes):
        own = boxes[phrase_of == number]
        hits = (pairwise_iou(own, gold_boxes) >= HIT_IOU).any(axis=1)
        inside = (_share_inside(own, question.ignored[number]) >= HIT_IOU).any(axis=1)
        doubtful = ~hits & (inside | (not question.is_complete[number]))
        right += int(hits.sum())
        unjudged += int(doubtful.sum())
        labels += len(own) - int(doubtful.sum())
    return right, labels, unjudged


def _share_inside(boxes: Boxes, regions: Boxes) -> Boxes:
    """Share of each box [N] that lies in each region [M]: COCO's measure for crowds, [N, M]."""
    low = np.maximum(boxes[:, None, :2], regions[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], regions[None, :, 2:])
    common = np.clip(high - low, 0, None).prod(axis=2)
    return np.asarray(common / np.maximum(box_areas(boxes), 1e-9)[:, None])
