"""A GLIP model as the pipeline sees it: images and phrases in, candidate boxes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.inputs.preprocess import Preprocessor, ResizedImage, resized_size
from model.inputs.prompts import Prompt, PromptPlan, plan_caption, plan_names
from model.inputs.tokenizer import MAX_TOKENS, GlipTokenizer
from model.outputs import GlipOutput, TextFeatures, TokenBatch
from model.teacher.answer import AnswerParts
from model.teacher.asking import DTYPES, BatchedTeacher, Question
from model.teacher.options import TeacherOptions
from model.teacher.postprocess import Detections, postprocess
from model.teacher.text_cache import TextCache
from schemas.grounder import ScoreFacts
from schemas.records import Span

GLIP_SCORES = ScoreFacts(
    recommended_threshold=0.5,
    meaning="sqrt of mean word probability of the phrase x centerness; GLIP's own pseudo-labels "
    "are boxes above 0.5",
)


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


class Teacher(BatchedTeacher[Prompt]):
    """A model with its tokenizer and pre-processing.

    Images are batched only with images of the same padded size.

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
        options = (options or TeacherOptions()).with_aggregation("mean")
        super().__init__(
            teacher_id=teacher_id, options=options, scores=GLIP_SCORES, device=device, note=note
        )
        self.max_tokens = max_tokens
        self.tokenizer = tokenizer
        self.preprocessor = Preprocessor(
            min_size=self.options.min_size or preprocessor.min_size,
            max_size=self.options.max_size or preprocessor.max_size,
            mean=preprocessor.mean,
            std=preprocessor.std,
            divisor=preprocessor.divisor,
        )
        self._model = model
        self._weights = dict(weights)
        self._texts = TextCache(model.encode_text, tokenizer, self.device, max_tokens=max_tokens)

    def fingerprint(self) -> Mapping[str, object]:
        """Everything that changes the answers, as JSON."""
        return {
            "teacher_id": self._teacher_id,
            **self._weights,
            "vocabulary": self.tokenizer.fingerprint,
            "preprocess": dict(self.preprocessor.fingerprint()),
            "options": dict(self.options.fingerprint()),
        }

    def size_key(self, size_wh: tuple[int, int]) -> tuple[int, int]:
        """(width, height) after the resize and padding."""
        size = resized_size(size_wh, self.preprocessor.min_size, self.preprocessor.max_size)
        return self.preprocessor.padded_size([size])

    def _plan_caption(self, caption: str, spans: Sequence[Sequence[Span]]) -> PromptPlan:
        return plan_caption(caption, spans, self.tokenizer, max_tokens=self.max_tokens)

    def _plan_names(self, names: tuple[str, ...]) -> PromptPlan:
        return plan_names(
            names,
            self.tokenizer,
            max_names=self.options.max_names or None,
            max_tokens=self.max_tokens,
        )

    def _prepare(self, image: NDArray[np.uint8]) -> ResizedImage:
        return self.preprocessor.resize(image)

    def _run_group(
        self,
        questions: Sequence[Question[Prompt]],
        places: Sequence[int],
        prepared: Sequence[ResizedImage],
    ) -> list[tuple[int, AnswerParts]]:
        pairs = [
            (row, prompt)
            for row, place in enumerate(places)
            for prompt in questions[place].plan.prompts
        ]
        dtype = DTYPES[self.options.precision]
        results: list[Detections] = []
        with torch.autocast(self.device.type, dtype, enabled=dtype != torch.float32):
            batch = self.preprocessor.batch(prepared, device=self.device)
            pyramid = self._model.encode_image(batch.pixels_B3HW)
            for first in range(0, len(pairs), self.batch_size):
                chunk = pairs[first : first + self.batch_size]
                results += self._run_pairs(chunk, pyramid, batch.sizes_B2)
        answers = []
        for (row, prompt), found in zip(pairs, results, strict=True):
            targets = questions[places[row]].indices(prompt)
            answers.append((places[row], AnswerParts.of(found, targets, prepared[row].ratios)))
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
