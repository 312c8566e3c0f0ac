"""OmDet-Turbo: each phrase a class of its own, and one sentence that names the task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from model.teacher.detectors.teacher import (
    DetectorParts,
    DetectorTeacher,
    RawBoxes,
    refuse_too_few_places,
)
from model.teacher.detectors.texts import QueryPlan, QueryPlanner, QueryPrompt
from schemas.records import Span

MAX_TOKENS = 77


def task_of(texts: Sequence[str]) -> str:
    """The sentence that its processor makes of a list of classes."""
    return f"Detect {', '.join(texts)}."


class OmDetTeacher(DetectorTeacher[QueryPrompt]):
    """Asks as many phrases at once as the sentence of the task can name whole."""

    def __init__(self, parts: DetectorParts) -> None:
        super().__init__(parts)
        config = self._model.config.text_config
        limit = min(MAX_TOKENS, int(config.max_position_embeddings))
        self.planner = QueryPlanner(
            parts.tokenizer, limit, self._task_fits, vocab_size=int(config.vocab_size)
        )
        self._pad_id = int(parts.tokenizer.pad_token_id or 0)

    def _task_fits(self, texts: Sequence[str]) -> bool:
        return len(self.planner.ids(task_of(texts))) <= self.planner.max_tokens

    def _plan_caption(self, caption: str, spans: Sequence[Sequence[Span]]) -> QueryPlan:
        return self.planner.plan_caption(caption, spans)

    def _plan_names(self, names: tuple[str, ...]) -> QueryPlan:
        return self.planner.plan_names(names, self.options.max_names)

    def _encode_images(self, pixels_B3HW: Tensor) -> Any:
        features = self._model.vision_backbone(pixels_B3HW)
        return self._model.encoder(features, return_dict=True).extracted_states

    def _ask(
        self, images: Any, rows: Sequence[int], prompts: Sequence[QueryPrompt]
    ) -> list[RawBoxes]:
        # The best class of a place decides whether it is looked at, and classes of padding would
        # have a say in that: a shorter list is filled up with its own last class instead.
        longest = max(len(prompt.ids) for prompt in prompts)
        filled = [
            (*prompt.ids, *prompt.ids[-1:] * (longest - len(prompt.ids))) for prompt in prompts
        ]
        classes = self._table([ids for own in filled for ids in own])
        length = self.planner.max_tokens
        tasks = self._table([self.planner.ids(task_of(p.texts))[:length] for p in prompts])
        structure = torch.full((len(prompts),), longest, dtype=torch.int64, device=self.device)
        features = self._model.get_language_embedding(*classes, *tasks, structure)
        index = torch.tensor(rows, device=self.device)
        try:
            output = self._model.decoder(
                [states[index] for states in images], *features, return_dict=True
            )
        except RuntimeError as error:
            size = self.size_key((1, 1))[::-1]  # the same for all
            refuse_too_few_places(error, size, self._model.config.num_queries)
            raise
        boxes_BQ4, logits_BQL = output.decoder_coords[-1], output.decoder_classes[-1]
        return [
            RawBoxes(
                boxes_BQ4[number].float(),
                logits_BQL[number, :, : len(prompt.ids)].float().sigmoid(),
            )
            for number, prompt in enumerate(prompts)
        ]

    def _table(self, texts: Sequence[tuple[int, ...]]) -> tuple[Tensor, Tensor]:
        """Ids and mask, padded to the model's length."""
        length = self.planner.max_tokens
        ids = torch.full((len(texts), length), self._pad_id, dtype=torch.int64)
        mask = torch.zeros(len(texts), length, dtype=torch.int64)
        for number, text in enumerate(texts):
            ids[number, : len(text)] = torch.tensor(text)
            mask[number, : len(text)] = 1
        return ids.to(self.device), mask.to(self.device)
