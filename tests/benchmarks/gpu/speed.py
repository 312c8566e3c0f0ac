"""Images a second of the network, its parts and the teacher, beside Grounding DINO's network."""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from model.config import get_preset
from model.files.directory import save_pretrained
from model.inputs.tokenizer import default_tokenizer
from model.network.glip import Glip
from model.outputs import TokenBatch
from model.teacher.load import load_teacher
from model.teacher.options import TeacherOptions
from model.training.memory import peak_memory_gib
from schemas.grounder import GroundingRequest
from schemas.records import Phrase
from tests.benchmarks.bench_model import CAPTION, WORDS, Clock
from tests.benchmarks.gpu.case import LONG_NAMES, Case, Row, autocast, seconds_of, start_peak


def measure_speed(case: Case) -> Generator[Row]:
    """By dtype and batch: our network, Grounding DINO's of the same pixels, and our teacher."""
    with tempfile.TemporaryDirectory() as name:
        torch.manual_seed(0)
        directory = save_pretrained(Glip(get_preset(case.preset)), Path(name) / "teacher")
        dino = make_dino(case)
        for dtype in case.dtypes:
            for batch in case.batches:
                try:
                    yield from _measure(case, directory, dino, dtype, batch)
                except torch.OutOfMemoryError as error:
                    yield Row(
                        part="speed", what=case.preset, dtype=dtype, batch=batch,
                        failure=f"out of memory: {str(error).splitlines()[0]}",
                    )  # fmt: skip


@dataclass(frozen=True)
class _Ours:
    """Seconds of a batch through the network and through the teacher, and what they took."""

    network_s: float
    teacher_s: float
    peak_gib: float
    parts_ms: dict[str, float | int | str]


def _measure(case: Case, directory: Path, dino: Any, dtype: str, batch: int) -> Iterator[Row]:
    ours = _ask_ours(case, directory, dtype, batch)
    what = f"{case.preset} {case.height}x{case.width}"
    figures: dict[str, float | int | str] = {"images/s": batch / ours.network_s}
    dino_figures: dict[str, float | int | str] = {}
    failure = ""
    start_peak(case.device)
    pixels, tokens = network_inputs(case, batch)
    try:
        dino_s = seconds_of(
            lambda: ask_dino(dino, case, pixels, tokens, dtype), case.device, case.min_seconds
        )
        figures["of Grounding DINO's"] = dino_s / ours.network_s
        dino_figures = {"images/s": batch / dino_s, "peak GiB": peak_memory_gib(case.device)}
    except RuntimeError as error:  # not all of its layers know half precision
        failure = str(error).splitlines()[0]
    figures["peak GiB"] = ours.peak_gib

    def row(name: str, figures: dict[str, float | int | str], failure: str = "") -> Row:
        return Row(
            part="speed", what=name, dtype=dtype, batch=batch, figures=figures, failure=failure
        )

    yield row(f"{what}, network", figures)
    yield row("  its parts", ours.parts_ms)
    yield row(
        f"{what}, teacher",
        {
            "images/s": batch / ours.teacher_s,
            "of the network's": ours.network_s / ours.teacher_s,
        },
    )
    yield row(f"Grounding DINO {case.dino}, network", dino_figures, failure)


def _ask_ours(case: Case, directory: Path, dtype: str, batch: int) -> _Ours:
    options = TeacherOptions(
        precision=LONG_NAMES[dtype],  # type: ignore[arg-type]
        batch_size=batch,
        min_size=min(case.height, case.width),
        max_size=max(case.height, case.width),
    )
    start_peak(case.device)
    teacher = load_teacher(directory, device=str(case.device), options=options)
    model: Any = teacher._model  # type: ignore[attr-defined]
    pixels, tokens = network_inputs(case, batch)
    asked = requests(case, batch)

    def forward() -> None:
        with torch.inference_mode(), autocast(case.device, dtype):
            model(pixels, tokens)

    network_s = seconds_of(forward, case.device, case.min_seconds)
    peak_gib = peak_memory_gib(case.device)
    teacher_s = seconds_of(lambda: teacher.ground(asked), case.device, case.min_seconds)
    clock = Clock(model)
    forward()
    return _Ours(
        network_s,
        teacher_s,
        peak_gib,
        {f"{name} ms": 1000 * wall for name, (wall, _) in clock.seconds.items()},
    )


def network_inputs(case: Case, batch: int) -> tuple[torch.Tensor, TokenBatch]:
    """Noise of the padded size, and one caption for each image."""
    step = get_preset(case.preset).size_divisor
    height, width = (-(-side // step) * step for side in (case.height, case.width))
    pixels = torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(0))
    tokens = default_tokenizer().batch([CAPTION] * batch)
    return pixels.to(case.device), TokenBatch(*(tensor.to(case.device) for tensor in tokens))


def requests(case: Case, batch: int) -> list[GroundingRequest]:
    """Noise with a caption of four phrases."""
    rng = np.random.default_rng(0)
    phrases = tuple(Phrase(text=CAPTION[a:b], start=a, end=b) for a, b in WORDS)
    return [
        GroundingRequest(
            image=rng.integers(0, 255, (case.height, case.width, 3), np.uint8),
            caption=CAPTION,
            phrases=phrases,
        )
        for _ in range(batch)
    ]


def make_dino(case: Case) -> Any:
    """Grounding DINO with random weights: the published tiny one's sizes, or a toy's."""
    from transformers import (
        AutoModelForZeroShotObjectDetection,
        GroundingDinoConfig,
        GroundingDinoForObjectDetection,
    )

    from tests.model.teacher.tiny_detectors import write_detector

    torch.manual_seed(0)
    if case.dino == "tiny":
        model = GroundingDinoForObjectDetection(GroundingDinoConfig())
    else:
        with tempfile.TemporaryDirectory() as name:
            directory = write_detector("grounding-dino", Path(name))
            model = AutoModelForZeroShotObjectDetection.from_pretrained(directory)
    return model.eval().requires_grad_(False).to(case.device)


def ask_dino(model: Any, case: Case, pixels: torch.Tensor, tokens: TokenBatch, dtype: str) -> None:
    """Its bare forward of the same pixels and words."""
    with torch.inference_mode(), autocast(case.device, dtype):
        model(
            pixel_values=pixels,
            input_ids=tokens.input_ids_BT,
            attention_mask=tokens.attention_mask_BT,
        )
