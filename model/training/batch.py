"""Examples to tensors: pixels, word pieces, and what each image should teach."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.inputs.preprocess import PackedImages, Preprocessor
from model.inputs.prompts import positive_map
from model.inputs.tokenizer import GlipTokenizer, TokenizedText
from model.losses.glip_loss import GroundingTarget
from model.outputs import TokenBatch
from schemas.records import Span

WORDS_CUT = "box: its words are beyond the token limit"
WORDS_UNKNOWN = "box: its span covers no word"
UNREADABLE = "image: cannot be read"


class PromptLike(Protocol):
    """A text and what each box is called in it; see `pipeline/training_set/example.py`."""

    @property
    def caption(self) -> str: ...
    @property
    def boxes(self) -> NDArray[np.float32]: ...
    @property
    def spans(self) -> tuple[tuple[Span, ...], ...]: ...
    @property
    def weights(self) -> NDArray[np.float32]: ...
    @property
    def drops(self) -> Counter[str]: ...


class ExampleLike(Protocol):
    """One image with its prompt; boxes are half-open pixels of `image`."""

    @property
    def sample_id(self) -> str: ...
    @property
    def image(self) -> NDArray[np.uint8]: ...
    @property
    def prompt(self) -> PromptLike: ...
    @property
    def short_side(self) -> int | None: ...
    @property
    def failure(self) -> str: ...


class TrainBatch(NamedTuple):
    """One forward pass.

    images: bytes on their way from the loader; normalised after `to`.
    tokens: the prompts, padded to the longest of the batch.
    text_mask_BT: 1 on the text positions that count in the loss.
    drops: Boxes and spans that were given up, by reason.
    failures: (sample id, reason) of the images that could not be read; they weigh nothing.
    sizes_B2: (height, width) of each image inside the padding, on the CPU.
    """

    images: PackedImages | Tensor
    tokens: TokenBatch
    targets: Sequence[GroundingTarget]
    text_mask_BT: Tensor
    sample_ids: tuple[str, ...]
    drops: Counter[str]
    failures: tuple[tuple[str, str], ...] = ()
    sizes_B2: Tensor | None = None

    @property
    def images_B3HW(self) -> Tensor:  # noqa: N802  (a tensor's name)
        """As the network takes them; needs `to` before."""
        assert isinstance(self.images, Tensor), "call `to` first"
        return self.images

    @property
    def size_hw(self) -> tuple[int, int]:
        """(height, width) with the padding."""
        if isinstance(self.images, PackedImages):
            return self.images.pixels_BHW3.shape[1], self.images.pixels_BHW3.shape[2]
        return self.images.shape[-2], self.images.shape[-1]

    def to(self, device: torch.device) -> TrainBatch:
        """The same batch on `device`, with images as the network takes them."""
        if isinstance(self.images, PackedImages):
            images = self.images.unpack(device=device)
        else:
            images = self.images.to(device, non_blocking=True)
        return self._replace(
            images=images,
            tokens=TokenBatch(*(tensor.to(device, non_blocking=True) for tensor in self.tokens)),
            targets=[target.to(device) for target in self.targets],
            text_mask_BT=self.text_mask_BT.to(device, non_blocking=True),
        )


class BatchBuilder:
    """Makes batches.

    Args:
        tokenizer: Of the network.
        preprocessor: Of the network; an example's own short side goes before its `min_size`.
        max_tokens: Text positions of the network, [CLS] and [SEP] included.
    """

    def __init__(
        self, tokenizer: GlipTokenizer, preprocessor: Preprocessor, max_tokens: int
    ) -> None:
        self._tokenizer = tokenizer
        self._preprocessor = preprocessor
        self._max_tokens = max_tokens

    def __call__(self, examples: Sequence[ExampleLike]) -> TrainBatch:
        """One batch of at least one example."""
        drops: Counter[str] = Counter()
        texts, images, targets = [], [], []
        for example in examples:
            drops.update(example.prompt.drops)
            text = self._tokenizer.tokenize(example.prompt.caption)
            image = self._preprocessor.resize(example.image, min_size=example.short_side)
            texts.append(text)
            images.append(image)
            target = self._target(text, example.prompt, image.ratios, drops)
            targets.append(target._replace(image_weight=0.0) if example.failure else target)
        failures = tuple((e.sample_id, e.failure) for e in examples if e.failure)
        if failures:
            drops[UNREADABLE] += len(failures)
        tokens = self._tokenizer.batch(texts, max_tokens=self._max_tokens)
        return TrainBatch(
            images=self._preprocessor.pack(images),
            tokens=tokens,
            targets=targets,
            text_mask_BT=tokens.attention_mask_BT,
            sample_ids=tuple(example.sample_id for example in examples),
            drops=drops,
            failures=failures,
            sizes_B2=torch.tensor([image.size[::-1] for image in images]),
        )

    def _target(
        self,
        text: TokenizedText,
        prompt: PromptLike,
        ratios: tuple[float, float],
        drops: Counter[str],
    ) -> GroundingTarget:
        end = min(len(text), self._max_tokens) - 1  # where [SEP] stands
        rows, kept = [], []
        for number, spans in enumerate(prompt.spans):
            words = {token for span in spans for token in text.span_to_tokens(span)}
            seen = sorted(token for token in words if token < end)
            if seen:
                rows.append(seen)
                kept.append(number)
            else:
                drops[WORDS_CUT if words else WORDS_UNKNOWN] += 1
        x, y = ratios
        boxes = prompt.boxes[kept] * np.array([x, y, x, y], dtype=np.float32)
        return GroundingTarget(
            boxes_G4=torch.from_numpy(boxes.reshape(-1, 4)),
            positive_map_GT=positive_map(rows, end + 1),
            weights_G=torch.from_numpy(prompt.weights[kept]),
        )
