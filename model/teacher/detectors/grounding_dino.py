"""Grounding DINO, MM-Grounding-DINO and LLMDet: captions as they are, scores of their words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from model.inputs.prompts import Prompt, PromptPlan, plan_caption, plan_names
from model.teacher.detectors.teacher import (
    DetectorParts,
    DetectorTeacher,
    RawBoxes,
    RowsOnce,
    refuse_too_few_places,
)
from model.teacher.detectors.texts import StoppedTokenizer
from model.teacher.postprocess import label_scores
from schemas.errors import ConfigError
from schemas.records import Span

MIN_TOKENS = 8
"""Fewer hold no phrase beside the special ones."""
NO_LOGIT = -1e4
"""In place of minus infinity, whose product with 0 is NaN."""


class _Images(NamedTuple):
    """Pixels and the answer of the backbone, for every row."""

    pixels_B3HW: Tensor
    features: Any


class GroundingDinoTeacher(DetectorTeacher[Prompt]):
    """Asks a whole caption at once; a phrase's score is that of exactly its own word pieces."""

    def __init__(self, parts: DetectorParts) -> None:
        super().__init__(parts)
        self.tokenizer = StoppedTokenizer(
            parts.tokenizer, vocab_size=int(self._model.config.text_config.vocab_size)
        )
        config = self._model.config
        self.max_tokens = min(
            int(config.max_text_len), int(config.text_config.max_position_embeddings)
        )
        if self.max_tokens < MIN_TOKENS:
            raise ConfigError(
                f"max_text_len of its config.json must be at least {MIN_TOKENS}, got "
                f"{config.max_text_len}"
            )
        self._backbone = RowsOnce(self._model.model.backbone)
        self._model.model.backbone = self._backbone

    def _plan_caption(self, caption: str, spans: Sequence[Sequence[Span]]) -> PromptPlan:
        return plan_caption(caption, spans, self.tokenizer, max_tokens=self.max_tokens)

    def _plan_names(self, names: tuple[str, ...]) -> PromptPlan:
        limit = self.options.max_names or None
        return plan_names(names, self.tokenizer, max_names=limit, max_tokens=self.max_tokens)

    def _encode_images(self, pixels_B3HW: Tensor) -> _Images:
        mask = torch.ones(
            (len(pixels_B3HW), *pixels_B3HW.shape[2:]), dtype=torch.long, device=self.device
        )
        return _Images(pixels_B3HW, self._backbone.tower(pixels_B3HW, mask))

    def _ask(
        self, images: _Images, rows: Sequence[int], prompts: Sequence[Prompt]
    ) -> list[RawBoxes]:
        ids_BT, mask_BT = self._batch(prompts)
        pixels, self._backbone.kept = images
        if list(rows) != list(range(len(pixels))):
            index = torch.tensor(rows, device=self.device)
            pixels = pixels[index]
            self._backbone.kept = _rows(self._backbone.kept, index)
        try:
            output = self._model(pixel_values=pixels, input_ids=ids_BT, attention_mask=mask_BT)
        except RuntimeError as error:
            refuse_too_few_places(error, pixels.shape[2:], self._model.config.num_queries)
            raise
        finally:
            self._backbone.kept = None
        logits_BQT = output.logits.float().clamp(min=NO_LOGIT)
        width = logits_BQT.shape[-1]
        answers = []
        for number, prompt in enumerate(prompts):
            maps_1LT = prompt.positive_map(width)[None].to(self.device)
            scores = label_scores(
                logits_BQT[number : number + 1], maps_1LT, self.options.postprocess().aggregation
            )
            answers.append(RawBoxes(output.pred_boxes[number].float(), scores[0]))
        return answers

    def _batch(self, prompts: Sequence[Prompt]) -> tuple[Tensor, Tensor]:
        """Ids and mask, padded at the end: with its full stop no text is changed by that."""
        texts = [prompt.tokenized.ids[: self.max_tokens] for prompt in prompts]
        longest = max(map(len, texts))
        ids = torch.full((len(texts), longest), self.tokenizer.pad_id, dtype=torch.int64)
        mask = torch.zeros(len(texts), longest, dtype=torch.int64)
        for number, text in enumerate(texts):
            ids[number, : len(text)] = torch.tensor(text)
            mask[number, : len(text)] = 1
        return ids.to(self.device), mask.to(self.device)


def _rows(features: Any, index: Tensor) -> Any:
    """Rows of tensors in nested lists and tuples."""
    if isinstance(features, Tensor):
        return features[index]
    return type(features)(_rows(entry, index) for entry in features)
