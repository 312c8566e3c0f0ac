"""Captions of images by an image-to-text model of transformers: BLIP, BLIP-2, GIT, Florence-2."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from model.captioners.kinds import prompt_of
from model.captioners.options import CaptionerOptions
from model.captioners.sampling import FiniteScores, SeededNucleus, uniforms
from model.out_of_memory import ShrinkingBatches
from schemas.errors import RecordError
from schemas.records import Status

BACKEND = "torchvision"
_NOT_FINITE = (
    "the captioner's scores are NaN or infinite",
    "the captioner's scores are NaN or infinite, which float16 may be the reason of: --precision "
    "bfloat16 or float32",
)
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060\ufeff\ufffd]+")


class Captioner:
    """One captioner; see `load_captioner`.

    Args:
        model, processor: of transformers, the model in evaluation mode on `device`.
        kind: a key of `KINDS`.
        identity: what identifies the weights; its `model` names them.
        options: how it is asked.
        device: where the model is.
    """

    def __init__(
        self,
        *,
        model: Any,
        processor: Any,
        kind: str,
        identity: Mapping[str, Any],
        options: CaptionerOptions,
        device: torch.device,
    ) -> None:
        self._model = model
        self._processor = processor
        self._kind = kind
        self._identity = dict(identity)
        self._options = options
        self._device = device
        self._prompt = prompt_of(kind, options.prompt)
        self._batches = ShrinkingBatches(options.batch_size, device, "image")
        self.before_batch: Callable[[], object] = lambda: None

    @property
    def model_id(self) -> str:
        """Kind and content hash of the weights, e.g. `blip@3f2a9c01d2e4`."""
        return str(self._identity["model"])

    def fingerprint(self) -> Mapping[str, object]:
        """Everything that changes the captions, as JSON."""
        return captioner_identity(self._identity, self._kind, self._options)

    def caption(self, images: Sequence[NDArray[np.uint8]]) -> list[tuple[str, ...]]:
        """Captions of each image: at most `options.per_image`, each another; none where the model
        says nothing.

        Args:
            images: uint8 RGB [height, width, 3].

        Raises:
            RecordError: TEACHER_FAILED, the network's scores are NaN or infinite, or there is not
                enough memory for one image.
        """
        return self._batches.over(images, self._batch)

    @torch.inference_mode()
    def _batch(self, images: Sequence[NDArray[np.uint8]]) -> list[tuple[str, ...]]:
        self.before_batch()
        options, count = self._options, self._options.per_image
        inputs = self._inputs([Image.fromarray(image) for image in images])
        finite = FiniteScores()
        how: dict[str, Any] = {"num_beams": options.beams, "do_sample": False}
        how["logits_processor"] = [finite]
        if count > 1:
            draws = [
                uniforms(
                    pixels, seed=options.seed, captions=count, steps=options.max_new_tokens + 1
                )
                for pixels in inputs["pixel_values"]
            ]
            nucleus = SeededNucleus(draws, top_p=options.top_p, temperature=options.temperature)
            how = {
                "num_beams": 1,
                "do_sample": True,
                "top_p": 1.0,
                "top_k": 0,
                "temperature": 1.0,
                "num_return_sequences": count,
                "logits_processor": [finite, nucleus],
            }
        given = {
            name: value.to(self._device, self._model.dtype if value.is_floating_point() else None)
            for name, value in inputs.items()
        }
        ids = self._model.generate(**given, **how, max_new_tokens=options.max_new_tokens)
        if finite.found_any:
            raise RecordError(Status.TEACHER_FAILED, _NOT_FINITE[options.precision == "float16"])
        texts = self._processor.batch_decode(ids, skip_special_tokens=True)
        prompt = self._said_prompt(given)
        cleaned = [_without(text, prompt) for text in texts]
        return [
            tuple(dict.fromkeys(text for text in cleaned[row : row + count] if text))
            for row in range(0, len(cleaned), count)
        ]

    def _inputs(self, images: list[Image.Image]) -> dict[str, torch.Tensor]:
        prompts = [self._prompt] * len(images)
        if self._kind == "git":
            # Its prompt is not closed: the caption goes on from it.
            pixels = self._processor(images=images, return_tensors="pt")["pixel_values"]
            found = {"pixel_values": pixels}
            if self._prompt:
                tokenizer = self._processor.tokenizer
                own = tokenizer(self._prompt, add_special_tokens=False)["input_ids"]
                ids = torch.tensor([[tokenizer.cls_token_id, *own]] * len(images))
                found |= {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
            return found
        text = prompts if self._prompt else None
        return dict(self._processor(images=images, text=text, return_tensors="pt"))

    def _said_prompt(self, given: Mapping[str, torch.Tensor]) -> str:
        """The prompt as the model repeats it; empty where it does not."""
        if not self._prompt or self._kind == "florence2":
            return ""
        text = self._processor.batch_decode(given["input_ids"][:1], skip_special_tokens=True)[0]
        return " ".join(text.split())


def captioner_identity(
    identity: Mapping[str, Any], kind: str, options: CaptionerOptions
) -> dict[str, object]:
    """The fingerprint of a captioner of these weights; nothing is loaded."""
    asked = {**options.fingerprint(), "prompt": prompt_of(kind, options.prompt)}
    return {"task": "caption", **identity, "image_processor": BACKEND, "options": asked}


def _without(text: str, prompt: str) -> str:
    """A caption on one line, without the prompt that some models begin with; empty where there is
    no word in it. Models of bytes may write control characters, which are left out."""
    line = " ".join(_CONTROLS.sub(" ", text).split())
    line = line.removeprefix(prompt).strip()
    return line if any(map(str.isalnum, line)) else ""
