"""Everything that computes, on a device that is not the CPU: what it gives, as JSON.

python -m tests.model.on_another_device FOLDER
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from numpy.typing import NDArray

from jobs.training.load_recipe import load_recipe
from jobs.training.recipe import SourceSpec
from jobs.training.run import Machine, train_worker
from model.config import get_preset
from model.network.glip import Glip
from model.outputs import TokenBatch
from model.scorers.load import load_scorer
from model.teacher.load import load_teacher
from model.teacher.options import TeacherOptions
from schemas.grounder import GroundingRequest
from schemas.layer import LayerRequest
from schemas.records import Phrase
from tests.benchmarks.bench_loader import write_gold
from tests.model.pretended_device import pretended, set_up
from tests.model.scorers.tiny_scorers import write_scorer
from tests.model.teacher.tiny_detectors import write_detector

CPU = torch.device("cpu")
CAPTION = "a red circle and a blue square"
PHRASES = (
    Phrase(text="a red circle", start=0, end=12, head="circle"),
    Phrase(text="a blue square", start=17, end=30, head="square"),
)
Numbers = list[NDArray[Any]]


def pictures(count: int) -> list[NDArray[np.uint8]]:
    """Noise."""
    rng = np.random.default_rng(0)
    return [rng.integers(0, 255, (48, 64, 3), dtype=np.uint8) for _ in range(count)]


def second_forward(device: torch.device, dtype: torch.dtype) -> dict[str, Any]:
    """Of glip-nano: what the CPU waited for and sent while nothing but the network ran, and how far
    its matches are from the CPU's in the same number format."""
    torch.manual_seed(0)
    glip = Glip(get_preset("glip-nano")).eval().to(dtype)
    pixels, words = torch.rand(2, 3, 64, 96).to(dtype), torch.ones(2, 9, dtype=torch.int64)
    with torch.no_grad():
        wanted = glip(pixels, TokenBatch(words, words)).logits_BNT
    with pretended(device) as entered, torch.no_grad(), _ways_of_half_precision(dtype):
        glip.to(device)
        pixels, words = pixels.to(device), words.to(device)
        glip(pixels, TokenBatch(words, words))
        entered.waits.clear()
        entered.uploads = 0
        found = glip(pixels, TokenBatch(words, words)).logits_BNT
        told = {"waits": dict(entered.waits), "uploads": entered.uploads}
        return told | {"difference": float((found.cpu() - wanted).abs().max())}


@contextmanager
def _ways_of_half_precision(dtype: torch.dtype) -> Iterator[None]:
    """What half precision leaves to float32 is an error in it, and the other way round."""
    unused = (
        ("model.network.deform.deform_conv_by_rows", "BiAttention._attend_fused")
        if dtype == torch.float32
        else ("model.network.deform.deform_conv_by_level", "BiAttention._attend_in_chunks")
    )
    with (
        patch(unused[0], side_effect=AssertionError(unused[0])),
        patch(f"model.network.fusion.{unused[1]}", side_effect=AssertionError(unused[1])),
    ):
        yield


def ground(source: str) -> Callable[[torch.device], Numbers]:
    """Boxes and scores of a teacher."""

    def ask(device: torch.device) -> Numbers:
        options = TeacherOptions(batch_size=4, score_floor=0.001)
        teacher = load_teacher(source, device=str(device), options=options)
        answers = teacher.ground(
            [
                GroundingRequest(image=image, caption=CAPTION, phrases=PHRASES[: 1 + n % 2])
                for n, image in enumerate(pictures(3))
            ]
        )
        return [part for answer in answers for part in (answer.xyxy, answer.score)]

    return ask


def score(folder: Path, *wanted: str) -> Callable[[torch.device], Numbers]:
    """The first layer of a scorer."""

    def ask(device: torch.device) -> Numbers:
        boxes = np.array([[4, 6, 24, 30], [36, 10, 60, 40]], np.float32)
        request = LayerRequest(
            image=pictures(1)[0], caption=CAPTION, boxes=boxes, phrases=("a red circle", "square")
        )
        (answer,) = load_scorer(folder, device=device, batch_size=4).score([request], wanted)
        kept = {name: answer[name] for name in wanted}
        return [np.asarray(x) for part in kept.values() for x in part.values() if _is_number(x)]

    return ask


def _is_number(value: Any) -> bool:
    return bool(np.issubdtype(np.asarray(value).dtype, np.number))


def train(folder: Path) -> Callable[[torch.device], Numbers]:
    """Losses of two steps of glip-nano, with its checkpoint."""
    gold = write_gold(folder, 4)

    def run(device: torch.device) -> Numbers:
        losses: list[float] = []
        settings = ("steps=2", "batch_size=2", "precision=fp32", "log_every=1")
        recipe = load_recipe(
            None,
            "glip-nano",
            (
                *(f"train.{setting}" for setting in settings),
                "network.min_size=64",
                "network.max_size=96",
                "mixture.augment.short_sides=[64]",
                "cache_side=0",
            ),
            sources=tuple(SourceSpec(gold=str(path)) for path in gold),
        )
        train_worker(
            recipe,
            folder / device.type,
            Machine(device=str(device), trackers=()),
            say=lambda _: None,
            on_log=lambda _, figures: losses.extend((figures["loss"], figures["gradient_norm"])),
        )
        return [np.array(losses)]

    return run


def main(folder: Path) -> None:
    """Each on both devices: the greatest difference, and how often the CPU waited or sent."""
    device = set_up("pretended")  # before the first backward, which counts the devices
    parts = {
        "glip": ground("shipped"),
        "grounding-dino": ground(str(write_detector("grounding-dino", folder / "dino"))),
        "owlv2": ground(str(write_detector("owlv2", folder / "owl"))),
        "clip": score(write_scorer("clip", folder / "clip"), "clip", "embeddings"),
        "sam2": score(write_scorer("sam2", folder / "sam2"), "masks"),
        "train": train(folder),
    }
    wanted = {name: part(CPU) for name, part in parts.items()}
    found: dict[str, Any] = {
        "float32": second_forward(device, torch.float32),
        "bfloat16": second_forward(device, torch.bfloat16),
    }
    for name, part in parts.items():
        with patch("model.teacher.load.torch_device", torch.device), pretended(device) as entered:
            numbers = part(device)
        found[name] = {
            "values": sum(x.size for x in numbers),
            "difference": max(
                float(abs(a - b).max(initial=0)) for a, b in zip(numbers, wanted[name], strict=True)
            ),
            "waits": dict(entered.waits),
            "uploads": entered.uploads,
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
