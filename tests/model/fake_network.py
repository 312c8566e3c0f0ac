"""A network without weights that knows three colours: `red`, `green` and `blue` name pixels."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from model.inputs.preprocess import Preprocessor
from model.inputs.tokenizer import default_tokenizer
from model.outputs import GlipOutput, TextFeatures, TokenBatch
from model.teacher.glip import Teacher, TeacherOptions
from schemas.grounder import Grounding, GroundingRequest
from schemas.records import Phrase

STRIDES = (8, 16)
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
COLORS_BGR = {"red": (-1.0, -1.0, 1.0), "green": (-1.0, 1.0, -1.0), "blue": (1.0, -1.0, -1.0)}


class FakeNetwork:
    """Boxes are squares of a stride; a word's logit is high where its colour is.

    Counts its calls; fails like a full accelerator above `max_batch` images or texts.
    """

    def __init__(self, max_batch: int | None = None) -> None:
        self.max_batch = max_batch
        self.image_batches: list[tuple[int, ...]] = []
        self.predict_batches: list[int] = []
        self.texts_encoded = 0
        tokenizer = default_tokenizer()
        self._words = {
            tokenizer.truncated_ids(word)[1]: color for word, color in COLORS_BGR.items()
        }

    def _check(self, count: int) -> None:
        if self.max_batch is not None and count > self.max_batch:
            raise torch.OutOfMemoryError("CUDA out of memory (fake).\nmore lines")

    def encode_image(self, images_B3HW: Tensor) -> Sequence[Tensor]:
        self._check(len(images_B3HW))
        self.image_batches.append(tuple(images_B3HW.shape))
        return [F.avg_pool2d(images_B3HW, stride) for stride in STRIDES]

    def encode_text(self, tokens: TokenBatch) -> TextFeatures:
        self.texts_encoded += len(tokens.input_ids_BT)
        hidden = torch.zeros(*tokens.input_ids_BT.shape, 3)
        for token, color in self._words.items():
            hidden[tokens.input_ids_BT == token] = torch.tensor(color)
        return TextFeatures(hidden, tokens.attention_mask_BT)

    def predict(self, pyramid: Sequence[Tensor], text: TextFeatures) -> GlipOutput:
        num_images = len(pyramid[0])
        assert len(text.hidden_BTC) == num_images
        self._check(num_images)
        self.predict_batches.append(num_images)
        positions = torch.cat([level.flatten(2).mT for level in pyramid], dim=1)
        anchors = torch.cat(
            [
                torch.tensor(
                    [
                        [x * stride, y * stride, x * stride + stride - 1, y * stride + stride - 1]
                        for y in range(level.shape[2])
                        for x in range(level.shape[3])
                    ],
                    dtype=torch.float32,
                )
                for stride, level in zip(STRIDES, pyramid, strict=True)
            ]
        )
        return GlipOutput(
            positions @ text.hidden_BTC.mT * 3 - 6,
            torch.zeros(num_images, len(anchors), 4),
            torch.full((num_images, len(anchors)), 4.0),
            anchors,
            tuple((level.shape[2], level.shape[3]) for level in pyramid),
        )


def fake_teacher(max_batch: int | None = None, **options) -> tuple[Teacher, FakeNetwork]:
    """A teacher of 64-pixel inputs around a fresh fake network."""
    network = FakeNetwork(max_batch)
    teacher = Teacher(
        model=network,
        tokenizer=default_tokenizer(),
        preprocessor=Preprocessor(min_size=64, max_size=128),
        teacher_id="fake@000000000000",
        weights={"weights": "none"},
        options=TeacherOptions(**options),
    )
    return teacher, network


def draw_squares(height: int = 64, width: int = 64, **squares: tuple[int, int]) -> np.ndarray:
    """Grey, with a square of 16 pixels at each place (x, y)."""
    image = np.full((height, width, 3), 110, np.uint8)
    for color, (x, y) in squares.items():
        image[y : y + 16, x : x + 16] = {"red": RED, "green": GREEN, "blue": BLUE}[color]
    return image


def ask_for(image: np.ndarray, caption: str, pattern: str = r"red|green|blue"):
    phrases = tuple(
        Phrase(text=match.group(), start=match.start(), end=match.end())
        for match in re.finditer(pattern, caption)
    )
    return GroundingRequest(image=image, caption=caption, phrases=phrases)


def same_answer(a: Grounding, b: Grounding) -> bool:
    names = ("xyxy", "phrase_index", "score", "token_score", "centerness", "phrase_best_score")
    return len(a.score) == len(b.score) and all(
        np.allclose(getattr(a, name), getattr(b, name), rtol=1e-5, atol=1e-6) for name in names
    )
