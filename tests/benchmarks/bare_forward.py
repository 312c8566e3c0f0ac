"""A detector of transformers in its authors' size, and its forward alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import (
    BertTokenizer,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    GroundingDinoImageProcessor,
    GroundingDinoProcessor,
    MMGroundingDinoConfig,
    MMGroundingDinoForObjectDetection,
)

from model.inputs.tokenizer import SHIPPED_VOCAB
from schemas.grounder import GroundingRequest

Calls = list[list[GroundingRequest]]
FULL_SIZE = ("grounding-dino", "mm-grounding-dino")


def write_full_size(kind: str, directory: Path) -> str:
    """The library's default configuration, which is the tiny one of the paper (Swin-T, BERT base,
    six layers each, 900 queries), with random weights; about 700 MB."""
    torch.manual_seed(0)
    if kind == "grounding-dino":
        model: Any = GroundingDinoForObjectDetection(GroundingDinoConfig())
    else:
        model = MMGroundingDinoForObjectDetection(MMGroundingDinoConfig())
    images = GroundingDinoImageProcessor()
    GroundingDinoProcessor(images, BertTokenizer(str(SHIPPED_VOCAB))).save_pretrained(directory)
    model.save_pretrained(directory)
    return str(directory)


def forward_alone(teacher: Any, calls: Calls) -> Callable[[], None]:
    """Ask once, note what the network gets, and return what gives it that again.

    Tensors are ready, in the batches of the calls: no resizing, no tokenizing, no boxes.
    """
    encode, ask = teacher._encode_images, teacher._ask
    batches: list[tuple[torch.Tensor, list[tuple[Any, ...]]]] = []

    def noted_images(pixels: torch.Tensor) -> Any:
        batches.append((pixels, []))
        return encode(pixels)

    def noted_question(images: Any, *question: Any) -> Any:
        batches[-1][1].append(question)
        return ask(images, *question)

    teacher._encode_images, teacher._ask = noted_images, noted_question
    for call in calls:
        teacher.ground(call)
    teacher._encode_images, teacher._ask = encode, ask

    @torch.inference_mode()
    def again() -> None:
        for pixels, questions in batches:
            images = encode(pixels)
            for question in questions:
                ask(images, *question)

    return again


def take_no_core(teacher: Any, wait_ms: float) -> None:
    """Sleep so long for each image in place of the image tower, then answer a batch of its size
    from memory: as a GPU does, which takes no core. Everything else is as it was."""
    answers: dict[tuple[int, tuple[int, ...]], Any] = {}
    ask = teacher._ask
    encode = teacher._encode_images

    def encode_images(pixels: torch.Tensor) -> torch.Tensor:
        time.sleep(wait_ms / 1000 * len(pixels))
        return pixels

    def answer(pixels: torch.Tensor, rows: Any, prompts: Any) -> Any:
        raw = []
        for row, prompt in zip(rows, prompts, strict=True):
            key = (len(prompt.targets), tuple(pixels.shape[1:]))
            if key not in answers:
                one = pixels[row : row + 1]
                answers[key] = ask(encode(one), [0], [prompt])[0]
            raw.append(answers[key])
        return raw

    teacher._encode_images, teacher._ask = encode_images, answer
