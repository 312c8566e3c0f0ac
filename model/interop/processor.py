"""Images and texts to a `Glip` model's inputs, its outputs to boxes: Hugging Face's habits.

For one forward pass in one's own code. `model.teacher.glip.Teacher` also divides long captions and
class lists, caches and recovers from full memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from numbers import Integral
from operator import index
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from model.files.directory import load_config
from model.files.source import resolve_source
from model.inputs.preprocess import Preprocessor
from model.inputs.prompts import PromptPlan, plan_caption, plan_names
from model.inputs.tokenizer import (
    MAX_TOKENS,
    GlipTokenizer,
    default_tokenizer,
    directory_tokenizer,
)
from model.network.box_coder import to_half_open
from model.outputs import GlipOutput, TokenBatch
from model.teacher.options import PostprocessOptions
from model.teacher.postprocess import postprocess
from schemas.records import Span

_MORE_THAN_BYTES = ("I", "F")
"""Modes of PIL whose values are not bytes: I, I;16, F."""
Picture = NDArray[np.uint8] | Image.Image


class GlipInputs(NamedTuple):
    """One batch: `model(inputs.pixels_B3HW, inputs.tokens, inputs.sizes_B2)`.

    positive_maps: for each image 0/1 [phrases, T].
    text_labels: for each image its phrases or names as written; a row of `positive_maps` without
        a 1 is a name without a token.
    original_sizes: (width, height) of each image as it was given.
    """

    pixels_B3HW: Tensor
    tokens: TokenBatch
    positive_maps: tuple[Tensor, ...]
    text_labels: tuple[tuple[str, ...], ...]
    sizes_B2: Tensor
    ratios_B2: Tensor
    original_sizes: tuple[tuple[int, int], ...]

    def to(
        self,
        device: torch.device | str | torch.dtype | None = None,
        dtype: torch.dtype | None = None,
    ) -> GlipInputs:
        """The same batch with what the network reads on `device`, its pixels as `dtype`.

        As tensors' own: `to("cuda")`, `to(torch.float16)`, `to("cuda", torch.float16)`. A network
        in half precision needs pixels of its type; sizes and ratios stay as they are.
        """
        if isinstance(device, torch.dtype):
            device, dtype = None, device
        return self._replace(
            pixels_B3HW=self.pixels_B3HW.to(device, dtype),
            tokens=TokenBatch(*(tensor.to(device) for tensor in self.tokens)),
        )


class GlipProcessor:
    """Pre- and post-processing of one model.

    Args:
        preprocessor: Sizes and statistics.
        tokenizer: Default: the shipped vocabulary.
        max_tokens: Text positions of the model.
    """

    def __init__(
        self,
        preprocessor: Preprocessor | None = None,
        tokenizer: GlipTokenizer | None = None,
        max_tokens: int = MAX_TOKENS,
    ) -> None:
        self.preprocessor = preprocessor or Preprocessor()
        self.tokenizer = tokenizer or default_tokenizer()
        self.max_tokens = max_tokens

    @classmethod
    def from_pretrained(cls, source: str | Path) -> GlipProcessor:
        """The processor of a model directory or a hub id; needs no weights there.

        Raises:
            ConfigError: no model directory.
            MissingDependency: the hub does not give it.
        """
        directory = resolve_source(source)
        config = load_config(directory)
        return cls(
            Preprocessor.of(config),
            directory_tokenizer(directory, config.text.vocab_size),
            config.max_tokens,
        )

    def __call__(
        self,
        images: Picture | Sequence[Picture],
        *,
        text: str | Sequence[str] | None = None,
        phrases: Sequence[Span] | Sequence[Sequence[Span]] | None = None,
        names: Sequence[str] | Sequence[Sequence[str]] | None = None,
        device: torch.device | str = "cpu",
    ) -> GlipInputs:
        """Inputs of one forward pass.

        Args:
            images: uint8 RGB arrays, or pictures (turned upright by their EXIF).
            text: a caption per image, with `phrases`; one caption serves all images.
            phrases: half-open character spans in the caption; one list serves all images.
            names: class names instead of a caption, one list for all images or one for each.
            device: where the tensors go.

        Raises:
            ValueError: text and names together or neither, a caption without phrases, numbers
                that do not fit, pictures of more than 8 bits, or more text than one forward pass
                can take.
        """
        pictures = [images] if isinstance(images, np.ndarray | Image.Image) else list(images)
        if not pictures:
            raise ValueError("images is empty: give at least one")
        resized = [self.preprocessor.resize(_upright(picture)) for picture in pictures]
        if (text is None) == (names is None):
            raise ValueError("give either text (with phrases) or names")
        if text is not None:
            plans, labels = self._captions(text, phrases, len(pictures))
        else:
            plans, labels = self._names(names or (), len(pictures))
        tokenized = []
        maps = []
        for number, (plan, words) in enumerate(zip(plans, labels, strict=True)):
            if len(plan.prompts) > 1:
                raise ValueError(
                    f"image {number}: the text needs {len(plan.prompts)} prompts of "
                    f"{self.max_tokens} tokens; use model.teacher.glip.Teacher, which asks them all"
                )
            prompt = plan.prompts[0] if plan.prompts else None
            tokenized.append(prompt.tokenized if prompt else self.tokenizer.tokenize(""))
            rows = torch.zeros(len(words), len(tokenized[-1]))
            if prompt:
                rows[list(prompt.targets)] = prompt.positive_map()
            maps.append(rows)
        batch = self.preprocessor.batch(resized, device=device)
        tokens = self.tokenizer.batch(tokenized, max_tokens=self.max_tokens)
        return GlipInputs(
            batch.pixels_B3HW,
            TokenBatch(*(tensor.to(device) for tensor in tokens)),
            tuple(maps),
            labels,
            batch.sizes_B2,
            batch.ratios_B2,
            tuple(image.original_size for image in resized),
        )

    def post_process_grounded_object_detection(
        self,
        output: GlipOutput,
        inputs: GlipInputs,
        *,
        threshold: float = 0.4,
        options: PostprocessOptions | None = None,
    ) -> list[dict[str, Any]]:
        """Boxes of every image, best score first.

        Args:
            output: `model(inputs.pixels_B3HW, inputs.tokens, inputs.sizes_B2)`.
            inputs: as they were made here.
            threshold: smallest score, sqrt(token score x centerness).
            options: other numbers; default: the reference's.

        Returns:
            For each image `boxes` (half-open xyxy in pixels of the given image), `scores`,
            `labels` (index into the phrases or names) and `text_labels` (their text).
        """
        options = replace(options or PostprocessOptions(), score_floor=threshold)
        found = postprocess(output, inputs.positive_maps, inputs.sizes_B2, options)
        results = []
        for number, detections in enumerate(found):
            words = inputs.text_labels[number]
            boxes = to_half_open(detections.boxes_inclusive_K4).cpu()
            boxes = boxes / inputs.ratios_B2[number].float().repeat(2)
            limits = torch.tensor(inputs.original_sizes[number], dtype=boxes.dtype).repeat(2)
            labels = detections.labels_K.cpu()
            results.append(
                {
                    "boxes": torch.minimum(boxes.clamp(min=0), limits),
                    "scores": detections.scores_K.cpu(),
                    "labels": labels,
                    "text_labels": [words[label] for label in labels.tolist()],
                }
            )
        return results

    def save_pretrained(self, directory: str | Path) -> None:
        """Write the vocabulary; sizes are in the model's own `config.json`."""
        path = Path(directory)
        path.mkdir(parents=True, exist_ok=True)
        self.tokenizer.save(path)

    # --- texts -------------------------------------------------------------------------------

    def _captions(
        self, text: str | Sequence[str], phrases: Sequence[Any] | None, count: int
    ) -> tuple[list[PromptPlan], tuple[tuple[str, ...], ...]]:
        if phrases is None:
            raise ValueError("text needs phrases: half-open character spans in the caption")
        captions = [text] * count if isinstance(text, str) else list(text)
        # One list for all images, or a list of lists, of which some may be empty.
        nested = any(len(item) and not isinstance(item[0], Integral) for item in phrases)
        nested |= len(phrases) > 0 and all(len(item) == 0 for item in phrases)
        lists = list(phrases) if nested else [phrases] * count
        spans = [[(index(start), index(end)) for start, end in own] for own in lists]
        _check_count("captions", len(captions), count)
        _check_count("lists of phrases", len(spans), count)
        plans, labels = [], []
        for caption, own in zip(captions, spans, strict=True):
            for start, end in own:
                if not 0 <= start < end <= len(caption):
                    raise ValueError(
                        f"the phrase [{start}, {end}) is not inside the caption of "
                        f"{len(caption)} characters"
                    )
            single = [[span] for span in own]
            plans.append(plan_caption(caption, single, self.tokenizer, max_tokens=self.max_tokens))
            labels.append(tuple(caption[start:end] for start, end in own))
        return plans, tuple(labels)

    def _names(
        self, names: Sequence[Any], count: int
    ) -> tuple[list[PromptPlan], tuple[tuple[str, ...], ...]]:
        if isinstance(names, str):
            raise ValueError(f"names is a list of names, got the text {names!r}")
        shared = len(names) == 0 or isinstance(names[0], str)
        lists = [tuple(names)] * count if shared else [tuple(own) for own in names]
        _check_count("lists of names", len(lists), count)
        plans = {
            own: plan_names(own, self.tokenizer, max_tokens=self.max_tokens) for own in set(lists)
        }
        return [plans[own] for own in lists], tuple(lists)


def _upright(picture: Picture) -> NDArray[np.uint8]:
    if isinstance(picture, np.ndarray):
        return picture
    if not isinstance(picture, Image.Image):
        raise ValueError(f"an image is a uint8 array or a PIL image, got {type(picture).__name__}")
    if picture.mode.startswith(_MORE_THAN_BYTES):
        raise ValueError(
            f"a PIL image of mode {picture.mode} has no range that is known; give 8 bits a channel "
            "(pipeline.images.decode.decode_image reads such files)"
        )
    upright = ImageOps.exif_transpose(picture)
    if not upright.has_transparency_data:
        return np.asarray(upright.convert("RGB"))
    # As everywhere here, what cannot be seen is white paper.
    upright = upright.convert("RGBA")
    white = Image.new("RGBA", upright.size, "white")
    return np.asarray(Image.alpha_composite(white, upright).convert("RGB"))


def _check_count(what: str, found: int, expected: int) -> None:
    if found != expected:
        raise ValueError(f"{expected} images, but {found} {what}")
