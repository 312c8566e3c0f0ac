"""OWLv2 and OWL-ViT: each phrase a query of its own, scored at every patch of the image."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from model.teacher.detectors.teacher import DetectorParts, DetectorTeacher, RawBoxes
from model.teacher.detectors.texts import QueryPlan, QueryPlanner, QueryPrompt
from schemas.errors import ConfigError
from schemas.records import Span

QUERIES_KEPT = 4096
"""Embeddings of the last queries; each takes half a thousand numbers."""


class _Images(NamedTuple):
    """features_BPC and cxcywh_BP4 of every patch."""

    features_BPC: Tensor
    cxcywh_BP4: Tensor


class OwlTeacher(DetectorTeacher[QueryPrompt]):
    """Every query's score for every patch: a patch may be the place of several phrases."""

    def __init__(self, parts: DetectorParts) -> None:
        super().__init__(parts)
        config = self._model.config
        self._require_patches(config.vision_config)
        self._texts = self._model.base_model
        self.planner = QueryPlanner(
            parts.tokenizer,
            int(config.text_config.max_position_embeddings),
            vocab_size=int(config.text_config.vocab_size),
        )
        self._pad_id = int(parts.tokenizer.pad_token_id or 0)
        self._kept: OrderedDict[tuple[int, ...], Tensor] = OrderedDict()

    def _plan_caption(self, caption: str, spans: Sequence[Sequence[Span]]) -> QueryPlan:
        return self.planner.plan_caption(caption, spans)

    def _plan_names(self, names: tuple[str, ...]) -> QueryPlan:
        return self.planner.plan_names(names, self.options.max_names)

    def _frame(self, size_wh: tuple[int, int]) -> tuple[float, float]:
        """OWLv2 sees the image at the top left of a square, OWL-ViT the image alone."""
        if not self.pixels.is_square_padded:
            return super()._frame(size_wh)
        return float(max(size_wh)), float(max(size_wh))

    def _require_patches(self, vision: Any) -> None:
        side, patch = int(vision.image_size), int(vision.patch_size)
        columns, rows = self.size_key((side, side))
        if (columns // patch) * (rows // patch) != (side // patch) ** 2:
            raise ConfigError(
                f"its images of {columns} x {rows} pixels do not fit its network, which has "
                f"places for the patches of {side} x {side}; the image processor's size must say so"
            )

    def _encode_images(self, pixels_B3HW: Tensor) -> _Images:
        feature_map, _ = self._model.image_embedder(pixel_values=pixels_B3HW)
        features_BPC = feature_map.flatten(1, 2)
        return _Images(features_BPC, self._model.box_predictor(features_BPC, feature_map))

    def _ask(
        self, images: _Images, rows: Sequence[int], prompts: Sequence[QueryPrompt]
    ) -> list[RawBoxes]:
        # A list is padded with zeros, and only its own columns are read: no query sees another.
        longest = max(len(prompt.ids) for prompt in prompts)
        own = self._embed([query for prompt in prompts for query in prompt.ids])
        queries_BQC = own.new_zeros(len(prompts), longest, own.shape[-1])
        first = 0
        for number, prompt in enumerate(prompts):
            queries_BQC[number, : len(prompt.ids)] = own[first : first + len(prompt.ids)]
            first += len(prompt.ids)
        index = torch.tensor(rows, device=self.device)
        logits_BPQ, _ = self._model.class_predictor(images.features_BPC[index], queries_BQC)
        scores_BPQ = logits_BPQ.float().sigmoid()
        return [
            RawBoxes(images.cxcywh_BP4[row].float(), scores_BPQ[number, :, : len(prompt.ids)])
            for number, (row, prompt) in enumerate(zip(rows, prompts, strict=True))
        ]

    def _embed(self, queries: Sequence[tuple[int, ...]]) -> Tensor:
        """Normalised embeddings [queries, C]; each distinct query is encoded once."""
        rows = {ids: self._kept[ids] for ids in queries if ids in self._kept}
        fresh = [ids for ids in dict.fromkeys(queries) if ids not in rows]
        if fresh:
            length = self.planner.max_tokens
            table = torch.full((len(fresh), length), self._pad_id, dtype=torch.int64)
            mask = torch.zeros(len(fresh), length, dtype=torch.int64)
            for number, ids in enumerate(fresh):
                table[number, : len(ids)] = torch.tensor(ids)
                mask[number, : len(ids)] = 1
            found = self._texts.get_text_features(
                input_ids=table.to(self.device), attention_mask=mask.to(self.device)
            ).pooler_output
            found = found / torch.linalg.norm(found, dim=-1, keepdim=True)
            rows |= {ids: found[number].clone() for number, ids in enumerate(fresh)}
        for ids in queries:
            self._kept[ids] = rows[ids]
            self._kept.move_to_end(ids)
        while len(self._kept) > QUERIES_KEPT:
            self._kept.popitem(last=False)
        return torch.stack([rows[ids] for ids in queries])
