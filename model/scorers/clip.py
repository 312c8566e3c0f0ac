"""CLIP and SigLIP over the boxes, images and captions of a run.

The image processor is pinned to the PIL one, so that scores do not depend on what else is
installed; a crop is what the box covers, in whole pixels, at least one of each side.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from model.out_of_memory import ShrinkingBatches
from schemas.layer import KINDS, LayerAnswer, LayerKind, LayerRequest

BACKEND = "pil"
CLIP_SCORE_WEIGHT = 2.5
"""w of CLIPScore (Hessel et al. 2021, equation 1): cosines of real pairs are below 0.4."""
MAX_CACHED_TEXTS = 20_000
SIGLIP_TOKENS = 64


class ContrastiveScorer:
    """Makes `clip`, `clip_image`, `embeddings` and `region_embeddings`.

    `score` is CLIPScore, 2.5 x max(cosine, 0) up to 1, for a CLIP; for a SigLIP its own
    probability, sigmoid(cosine x scale + bias). Both are in [0, 1], and not comparable.

    Args:
        model, tokenizer, image_processor: of transformers.
        model_type: clip, siglip or siglip2.
        identity: what identifies the weights.
        device: where the model is.
        batch_size: crops and texts that go through the model at once.
        prompt: what a phrase is put into, `{}` is the phrase.
    """

    kinds: tuple[LayerKind, ...] = tuple(
        KINDS[name] for name in ("clip", "clip_image", "embeddings", "region_embeddings")
    )

    def __init__(
        self,
        *,
        model: Any,
        tokenizer: Any,
        image_processor: Any,
        model_type: str,
        identity: Mapping[str, Any],
        device: torch.device,
        batch_size: int,
        prompt: str = "{}",
    ) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._pixels = image_processor
        self._model_type = model_type
        self._identity = dict(identity)
        self._device = device
        self._batches = ShrinkingBatches(batch_size, device, "image or text")
        self._prompt = prompt
        self._texts: dict[str, NDArray[np.float32]] = {}

    def fingerprint(self) -> Mapping[str, Any]:
        """Weights, image processor and prompt."""
        return {**self._identity, "image_processor": BACKEND, "prompt": self._prompt}

    def score(self, requests: Sequence[LayerRequest], wanted: Collection[str]) -> list[LayerAnswer]:
        """Answer every request; crops of all of them share batches."""
        crops = [
            crop(request.image, box)
            for request in requests
            for box in (request.boxes if {"clip", "region_embeddings"} & set(wanted) else ())
        ]
        images = [r.image for r in requests] if {"clip_image", "embeddings"} & set(wanted) else []
        vectors = self.embed_images([*images, *crops])
        of_images, of_crops = vectors[: len(images)], vectors[len(images) :]
        phrases: list[str] = []
        if "clip" in wanted:
            phrases = [self._prompt.replace("{}", p) for r in requests for p in r.phrases]
        captions = [r.caption for r in requests] if "clip_image" in wanted else []
        texts = self.embed_texts([*captions, *phrases])
        answers: list[LayerAnswer] = []
        first = 0
        for number, request in enumerate(requests):
            last = first + len(request.boxes)
            answer: LayerAnswer = {}
            if "clip" in wanted:
                own = texts[len(captions) + first : len(captions) + last]
                answer["clip"] = self._compared(of_crops[first:last], own)
            if "clip_image" in wanted:
                place = slice(number, number + 1)
                answer["clip_image"] = self._compared(of_images[place], texts[place])
            if "embeddings" in wanted:
                answer["embeddings"] = {"vector": [of_images[number]]}
            if "region_embeddings" in wanted:
                answer["region_embeddings"] = {"vector": list(of_crops[first:last])}
            answers.append(answer)
            first = last
        return answers

    def embed_images(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Vectors [N, D] of length 1 of uint8 RGB images [height, width, 3]."""
        return _stacked(self._batches.over(images, self._image_batch))

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors [N, D] of length 1; texts beyond what the model reads are cut."""
        if len(self._texts) > MAX_CACHED_TEXTS:
            self._texts.clear()
        new = [text for text in dict.fromkeys(texts) if text not in self._texts]
        self._texts.update(zip(new, self._batches.over(new, self._text_batch), strict=True))
        return _stacked([self._texts[text] for text in texts])

    def _compared(self, a: NDArray[np.float32], b: NDArray[np.float32]) -> dict[str, Any]:
        cosine = np.clip((a * b).sum(axis=1), -1.0, 1.0) if len(a) else np.zeros(0, np.float32)
        if self._model_type == "clip":
            score = np.clip(CLIP_SCORE_WEIGHT * cosine, 0.0, 1.0)
        else:
            scale = float(self._model.logit_scale.exp().float())
            logits = cosine * scale + float(self._model.logit_bias.float())
            score = 1.0 / (1.0 + np.exp(-logits))
        return {
            "cosine": cosine.astype(np.float32).tolist(),
            "score": score.astype(np.float32).tolist(),
        }

    @torch.inference_mode()
    def _image_batch(self, images: Sequence[NDArray[np.uint8]]) -> Sequence[NDArray[np.float32]]:
        # Told, not guessed: an image three pixels high would be taken for one with channels first.
        pixels = self._pixels(
            list(images), input_data_format="channels_last", return_tensors="pt"
        ).to(self._device)
        return _unit(self._model.get_image_features(**pixels).pooler_output)

    @torch.inference_mode()
    def _text_batch(self, texts: Sequence[str]) -> Sequence[NDArray[np.float32]]:
        # An empty text has no token that the text vector could be read at.
        given = [text or " " for text in texts]
        if self._model_type == "clip":
            limit = self._model.config.text_config.max_position_embeddings
            tokens = self._tokenizer(
                given, padding=True, truncation=True, max_length=limit, return_tensors="pt"
            ).to(self._device)
            found = self._model.get_text_features(**tokens)
        else:
            # Trained so: padded to 64, the vector of the last place, and no attention mask.
            ids = self._tokenizer(
                given,
                padding="max_length",
                max_length=SIGLIP_TOKENS,
                truncation=True,
                return_tensors="pt",
            )["input_ids"].to(self._device)
            found = self._model.get_text_features(input_ids=ids)
        return _unit(found.pooler_output)


def crop(image: NDArray[np.uint8], xyxy: NDArray[np.float32]) -> NDArray[np.uint8]:
    """What a box covers of an image [height, width, 3]; at least one pixel."""
    height, width = image.shape[:2]
    x0, y0 = np.floor(xyxy[:2]).astype(int)
    x1, y1 = np.ceil(xyxy[2:]).astype(int)
    x0, y0 = min(max(x0, 0), width - 1), min(max(y0, 0), height - 1)
    return image[y0 : max(y0 + 1, min(y1, height)), x0 : max(x0 + 1, min(x1, width))]


def _unit(vectors: Tensor) -> list[NDArray[np.float32]]:
    return list(functional.normalize(vectors.float(), dim=-1).cpu().numpy())


def _stacked(found: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    return np.stack(found) if found else np.zeros((0, 1), np.float32)
