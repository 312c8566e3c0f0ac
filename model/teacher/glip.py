"""A GLIP model as the pipeline sees it: images and phrases in, candidate boxes out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.inputs.preprocess import Preprocessor, resized_size
from model.inputs.prompts import Prompt, PromptPlan, plan_caption, plan_names
from model.inputs.tokenizer import MAX_TOKENS, GlipTokenizer
from model.outputs import GlipOutput, TextFeatures, TokenBatch
from model.teacher.answer import AnswerParts, combine
from model.teacher.options import TeacherOptions
from model.teacher.postprocess import Detections, postprocess
from model.teacher.text_cache import TextCache
from schemas.errors import RecordError
from schemas.grounder import Grounding, GroundingRequest
from schemas.records import PhraseStatus, Status

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class Network(Protocol):
    """The three separate calls of a GLIP model."""

    def encode_image(self, pixels_B3HW: Tensor, /) -> Sequence[Tensor]:
        """Feature pyramid, finest level first."""
        ...

    def encode_text(self, tokens: TokenBatch, /) -> TextFeatures:
        """Features of captions."""
        ...

    def predict(self, pyramid: Sequence[Tensor], text: TextFeatures, /) -> GlipOutput:
        """Raw outputs for one text per image."""
        ...


@dataclass(frozen=True)
class _Question:
    """One image with all its prompts, and where the answer goes."""

    image: NDArray[np.uint8]
    plan: PromptPlan
    statuses: tuple[PhraseStatus, ...]
    targets: tuple[int, ...]
    """Index of each of the plan's targets in `statuses`."""


class Teacher:
    """A model with its tokenizer and pre-processing; implements `schemas.grounder.Grounder`.

    Images are batched only with images of the same padded size, so an answer never depends on
    which other images were asked about in the same call.

    Args:
        model: In evaluation mode, on `device`.
        tokenizer: Of the model.
        preprocessor: Of the model; `options` may override its sizes.
        teacher_id: Preset and content hash of the weights.
        weights: What identifies the weights, for the fingerprint.
        options: Thresholds, sizes, precision, batch size.
        device: Where the model is.
        max_tokens: Text positions of the model.
        note: What a user must know about these weights, shown where they are used.
    """

    def __init__(
        self,
        *,
        model: Network,
        tokenizer: GlipTokenizer,
        preprocessor: Preprocessor,
        teacher_id: str,
        weights: Mapping[str, object],
        options: TeacherOptions | None = None,
        device: torch.device | str = "cpu",
        max_tokens: int = MAX_TOKENS,
        note: str = "",
    ) -> None:
        self.note = note
        self.max_tokens = max_tokens
        self.options = options or TeacherOptions()
        self.device = torch.device(device)
        self.tokenizer = tokenizer
        self.preprocessor = Preprocessor(
            min_size=self.options.min_size or preprocessor.min_size,
            max_size=self.options.max_size or preprocessor.max_size,
            mean=preprocessor.mean,
            std=preprocessor.std,
            divisor=preprocessor.divisor,
        )
        self.batch_size = self.options.batch_size
        self.before_batch: Callable[[], object] = lambda: None
        """Called before each batch; what it raises ends the call. Shows progress inside a call."""
        self._model = model
        self._teacher_id = teacher_id
        self._weights = dict(weights)
        self._texts = TextCache(model.encode_text, tokenizer, self.device, max_tokens=max_tokens)
        self._plan_names = lru_cache(maxsize=8)(self._plan_names_uncached)

    @property
    def teacher_id(self) -> str:
        """Preset name and content hash of the weights."""
        return self._teacher_id

    def fingerprint(self) -> Mapping[str, object]:
        """Everything that changes the answers, as JSON."""
        return {
            "teacher_id": self._teacher_id,
            **self._weights,
            "vocabulary": self.tokenizer.fingerprint,
            "preprocess": dict(self.preprocessor.fingerprint()),
            "options": dict(self.options.fingerprint()),
        }

    # --- questions ---------------------------------------------------------------------------

    def ground(self, requests: Sequence[GroundingRequest]) -> list[Grounding]:
        """Candidates for the phrases of every caption, in order of the requests.

        A caption over the token limit is asked in several windows.

        Raises:
            RecordError: the image cannot be used, or one image alone exceeds the memory.
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
        plan = self._plan_names(tuple(names))
        statuses = (PhraseStatus.OK,) * len(names)
        everything = tuple(range(len(names)))
        return self._answer([_Question(image, plan, statuses, everything) for image in images])

    def _plan_names_uncached(self, names: tuple[str, ...]) -> PromptPlan:
        return plan_names(
            names,
            self.tokenizer,
            max_names=self.options.max_names or None,
            max_tokens=self.max_tokens,
        )

    def _caption_question(self, request: GroundingRequest) -> _Question:
        asked = tuple(
            index
            for index, phrase in enumerate(request.phrases)
            if phrase.status is PhraseStatus.OK
        )
        spans = [[(request.phrases[i].start, request.phrases[i].end)] for i in asked]
        plan = plan_caption(request.caption, spans, self.tokenizer, max_tokens=self.max_tokens)
        statuses = tuple(phrase.status for phrase in request.phrases)
        return _Question(request.image, plan, statuses, asked)

    # --- answers -----------------------------------------------------------------------------

    def _answer(self, questions: Sequence[_Question]) -> list[Grounding]:
        parts: list[list[AnswerParts]] = [[] for _ in questions]
        for group in self._groups(questions):
            self.before_batch()
            for place, found in self._try_group(questions, group):
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

    def _groups(self, questions: Sequence[_Question]) -> Iterator[list[int]]:
        """Places of questions that share a padded size, at most a batch of them."""
        by_size: dict[tuple[int, int], list[int]] = {}
        for place, question in enumerate(questions):
            height, width = question.image.shape[:2]
            try:
                size = resized_size(
                    (width, height), self.preprocessor.min_size, self.preprocessor.max_size
                )
            except ValueError as error:
                raise RecordError(Status.IMAGE_TOO_SMALL, str(error)) from error
            if question.plan.prompts:
                by_size.setdefault(self.preprocessor.padded_size([size]), []).append(place)
        for places in by_size.values():
            first = 0
            while first < len(places):
                # Asked anew each time: running out of memory makes it smaller.
                count = self.batch_size
                yield places[first : first + count]
                first += count

    def _try_group(
        self, questions: Sequence[_Question], places: Sequence[int]
    ) -> list[tuple[int, AnswerParts]]:
        try:
            return self._run_group(questions, places)
        except (torch.OutOfMemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error):
                raise
            detail = str(error).splitlines()[0]
        # Outside of the handler: the traceback would keep the failed batch's tensors.
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        if len(places) == 1 and self.batch_size == 1:
            raise RecordError(Status.TEACHER_FAILED, f"out of memory with one image: {detail}")
        # One image has many prompts: then it is their number that counts.
        fits = self.batch_size if len(places) == 1 else min(self.batch_size, len(places))
        step = self.batch_size = max(1, fits // 2)
        return [
            found
            for first in range(0, len(places), step)
            for found in self._try_group(questions, places[first : first + step])
        ]

    @torch.inference_mode()
    def _run_group(
        self, questions: Sequence[_Question], places: Sequence[int]
    ) -> list[tuple[int, AnswerParts]]:
        resized = [self.preprocessor.resize(questions[place].image) for place in places]
        pairs = [
            (row, prompt)
            for row, place in enumerate(places)
            for prompt in questions[place].plan.prompts
        ]
        dtype = DTYPES[self.options.precision]
        results: list[Detections] = []
        with torch.autocast(self.device.type, dtype, enabled=dtype != torch.float32):
            batch = self.preprocessor.batch(resized, device=self.device)
            pyramid = self._model.encode_image(batch.pixels_B3HW)
            for first in range(0, len(pairs), self.batch_size):
                chunk = pairs[first : first + self.batch_size]
                results += self._run_pairs(chunk, pyramid, batch.sizes_B2)
        answers = []
        for (row, prompt), found in zip(pairs, results, strict=True):
            targets = np.asarray(
                [questions[places[row]].targets[index] for index in prompt.targets], np.int64
            )
            answers.append((places[row], AnswerParts.of(found, targets, resized[row])))
        return answers

    def _run_pairs(
        self,
        pairs: Sequence[tuple[int, Prompt]],
        pyramid: Sequence[Tensor],
        sizes_B2: Tensor,
    ) -> list[Detections]:
        rows = [row for row, _ in pairs]
        prompts = [prompt for _, prompt in pairs]
        if rows == list(range(len(pyramid[0]))):
            chosen = pyramid
        else:
            index = torch.tensor(rows, device=self.device)
            chosen = [level[index] for level in pyramid]
        output = self._model.predict(chosen, self._texts.features(prompts))
        maps = [prompt.positive_map() for prompt in prompts]
        return postprocess(output, maps, sizes_B2[rows], self.options.postprocess())


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, torch.OutOfMemoryError):
        return True
    return "not enough memory" in str(error) or "out of memory" in str(error).lower()
