"""What every teacher does with a question: batches of equal size, memory that runs out, answers.

A kind of teacher says how it plans prompts, which images may share a batch, and how a batch is
answered; all the rest is here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from model.out_of_memory import free_memory, is_out_of_memory
from model.teacher.answer import AnswerParts, combine
from model.teacher.joined_plan import join_plans
from model.teacher.look_ahead import LookAhead
from model.teacher.options import TeacherOptions
from schemas.errors import RecordError
from schemas.grounder import Grounding, GroundingRequest, ScoreFacts
from schemas.records import PhraseStatus, Span, Status

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class HasTargets(Protocol):
    """A prompt: `targets` are indices in the caller's list of phrases or names."""

    @property
    def targets(self) -> tuple[int, ...]: ...


PromptT = TypeVar("PromptT", bound=HasTargets)
PromptT_co = TypeVar("PromptT_co", bound=HasTargets, covariant=True)


class Plan(Protocol[PromptT_co]):
    """All prompts of a caption or of a list of names, and what no prompt holds."""

    @property
    def prompts(self) -> tuple[PromptT_co, ...]: ...

    @property
    def not_seen(self) -> tuple[int, ...]: ...


@dataclass(frozen=True)
class Question(Generic[PromptT]):
    """One image with all its prompts, and where the answer goes."""

    image: NDArray[np.uint8]
    plan: Plan[PromptT]
    statuses: tuple[PhraseStatus, ...]
    targets: tuple[int, ...]
    """Index of each of the plan's targets in `statuses`."""

    def indices(self, prompt: HasTargets) -> NDArray[np.int64]:
        """Index in `statuses` of each target of a prompt."""
        return np.asarray([self.targets[index] for index in prompt.targets], np.int64)


class BatchedTeacher(ABC, Generic[PromptT]):
    """A teacher of any kind; implements `schemas.grounder.Grounder`.

    Images are batched only with images of an equal `size_key`, so an answer never depends on
    which other images were asked about in the same call.

    Args:
        teacher_id: Kind and content hash of the weights.
        options: Thresholds, sizes, precision, batch size.
        scores: What a score of it means, and the threshold to start from.
        device: Where the model is.
        note: What a user must know about these weights, shown where they are used.
    """

    def __init__(
        self,
        *,
        teacher_id: str,
        options: TeacherOptions,
        scores: ScoreFacts,
        device: torch.device | str = "cpu",
        note: str = "",
    ) -> None:
        self.note = note
        self.options = options
        self.scores = scores
        self.device = torch.device(device)
        self.batch_size = options.batch_size
        self.before_batch: Callable[[], object] = lambda: None
        """Called before each batch; what it raises ends the call. Shows progress inside a call."""
        self._teacher_id = teacher_id
        self._kept_names = lru_cache(maxsize=8)(self._plan_names)
        self._kept_captions = lru_cache(maxsize=8)(self._plan_caption)
        """A class list is the caption of every image."""
        self._look_ahead = LookAhead(self._prepare, self.device)

    @property
    def teacher_id(self) -> str:
        """Kind and content hash of the weights."""
        return self._teacher_id

    @abstractmethod
    def fingerprint(self) -> Mapping[str, object]:
        """Everything that changes the answers, as JSON."""

    @abstractmethod
    def size_key(self, size_wh: tuple[int, int]) -> Hashable:
        """Images of an equal key may share a batch: their size as the network gets it.

        Raises:
            ValueError: an image of this size cannot be shown to the network.
        """

    @abstractmethod
    def _plan_caption(self, caption: str, spans: Sequence[Sequence[Span]]) -> Plan[PromptT]:
        """Prompts for phrases, each given by its character spans."""

    @abstractmethod
    def _plan_names(self, names: tuple[str, ...]) -> Plan[PromptT]:
        """Prompts for class names."""

    @abstractmethod
    def _prepare(self, image: NDArray[np.uint8]) -> Any:
        """What the network needs of an image, made on the CPU and by any thread."""

    @abstractmethod
    def _run_group(
        self, questions: Sequence[Question[PromptT]], places: Sequence[int], prepared: Sequence[Any]
    ) -> list[tuple[int, AnswerParts]]:
        """What is found in the questions at `places`, one part for each of their prompts.

        prepared: of the image of each place, in their order.
        """

    # --- questions ---------------------------------------------------------------------------

    def ground(self, requests: Sequence[GroundingRequest]) -> list[Grounding]:
        """Candidates for the phrases of every caption, in order of the requests.

        A caption over the token limit is asked in several windows.

        Raises:
            RecordError: an image cannot be used, one image alone exceeds the memory, or the
                network answers with NaN.
        """
        return self._answer([self._caption_question(request) for request in requests])

    def detect(self, image: NDArray[np.uint8], names: Sequence[str]) -> Grounding:
        """Candidates for class names, of any number, in one image.

        Args:
            image: uint8 RGB [height, width, 3].
            names: `phrase_index` of the answer counts in them. A name without a token ("(x)")
                has the status TRUNCATED: it was not seen.

        Raises:
            RecordError: as `ground`.
        """
        return self.detect_batch([image], names)[0]

    def detect_batch(
        self, images: Sequence[NDArray[np.uint8]], names: Sequence[str]
    ) -> list[Grounding]:
        """`detect` for several images: the prompts are planned and encoded once."""
        plan = self._kept_names(tuple(names))
        statuses = (PhraseStatus.OK,) * len(names)
        everything = tuple(range(len(names)))
        return self._answer([Question(image, plan, statuses, everything) for image in images])

    def best_scores(
        self, images: Sequence[NDArray[np.uint8]], captions: Sequence[tuple[str, Sequence[Span]]]
    ) -> list[list[NDArray[np.float32]]]:
        """For each image and each caption the best score of any box for each span, [spans].

        Each image goes through the image tower once; captions do not see each other.

        Args:
            images: uint8 RGB [height, width, 3].
            captions: each with the spans of its phrases.

        Raises:
            RecordError: as `ground`.
        """
        found = self.scores_where_seen(images, captions)
        return [[np.nan_to_num(scores) for scores in row] for row in found]

    def scores_where_seen(
        self, images: Sequence[NDArray[np.uint8]], captions: Sequence[tuple[str, Sequence[Span]]]
    ) -> list[list[NDArray[np.float32]]]:
        """As `best_scores`, with NaN for phrases that could not be read, too long for it."""
        sizes = [len(spans) for _, spans in captions]
        plan: Plan[Any] = join_plans(
            [self._plan_caption(text, [[span] for span in spans]) for text, spans in captions],
            sizes,
        )
        everything = tuple(range(sum(sizes)))
        statuses = (PhraseStatus.OK,) * sum(sizes)
        found = self._answer([Question(image, plan, statuses, everything) for image in images])
        cuts = np.cumsum(sizes)[:-1]
        is_seen = [[one is PhraseStatus.OK for one in answer.phrase_status] for answer in found]
        return [
            np.split(np.where(seen, answer.phrase_best_score, np.float32(np.nan)), cuts)
            for answer, seen in zip(found, is_seen, strict=True)
        ]

    def _caption_question(self, request: GroundingRequest) -> Question[PromptT]:
        asked = tuple(
            index
            for index, phrase in enumerate(request.phrases)
            if phrase.status is PhraseStatus.OK
        )
        spans = tuple(((request.phrases[i].start, request.phrases[i].end),) for i in asked)
        statuses = tuple(phrase.status for phrase in request.phrases)
        return Question(request.image, self._kept_captions(request.caption, spans), statuses, asked)

    # --- answers -----------------------------------------------------------------------------

    def _answer(self, questions: Sequence[Question[PromptT]]) -> list[Grounding]:
        parts: list[list[AnswerParts]] = [[] for _ in questions]
        by_size = self._by_size(questions)
        order = [place for places in by_size for place in places]
        begun = 0
        with self._look_ahead.over([questions[place].image for place in order]) as ahead:
            for group in self._groups(by_size):
                self.before_batch()
                prepared = ahead.take(begun, begun + len(group))
                begun += len(group)
                for place, found in self._try_group(questions, group, prepared):
                    parts[place].append(found)
        return [
            combine(
                found,
                image=question.image,
                statuses=question.statuses,
                not_seen=[question.targets[index] for index in question.plan.not_seen],
            )
            for question, found in zip(questions, parts, strict=True)
        ]

    def _by_size(self, questions: Sequence[Question[PromptT]]) -> list[list[int]]:
        """Places of questions that may share a batch."""
        by_size: dict[Hashable, list[int]] = {}
        for place, question in enumerate(questions):
            height, width = question.image.shape[:2]
            try:
                key = self.size_key((width, height))
            except ValueError as error:
                raise RecordError(Status.IMAGE_TOO_SMALL, str(error)) from error
            if question.plan.prompts:
                by_size.setdefault(key, []).append(place)
        return list(by_size.values())

    def _groups(self, by_size: Sequence[list[int]]) -> Iterator[list[int]]:
        """At most a batch of them."""
        for places in by_size:
            first = 0
            while first < len(places):
                # Asked anew each time: running out of memory makes it smaller.
                count = self.batch_size
                yield places[first : first + count]
                first += count

    def _try_group(
        self, questions: Sequence[Question[PromptT]], places: Sequence[int], prepared: Sequence[Any]
    ) -> list[tuple[int, AnswerParts]]:
        try:
            with torch.inference_mode():
                return self._run_group(questions, places, prepared)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            detail = str(error).splitlines()[0]
        free_memory(self.device)
        if len(places) == 1 and self.batch_size == 1:
            raise RecordError(Status.TEACHER_FAILED, f"out of memory with one image: {detail}")
        # One image has many prompts: then it is their number that counts.
        fits = self.batch_size if len(places) == 1 else min(self.batch_size, len(places))
        self.batch_size = max(1, fits // 2)
        found: list[tuple[int, AnswerParts]] = []
        first = 0
        while first < len(places):
            # Asked anew each time: the parts after one that was halved again are that small too.
            part = slice(first, first + self.batch_size)
            first = part.stop
            found += self._try_group(questions, places[part], prepared[part])
        return found
