"""How large the measurements are, and the lines that they give."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
LONG_NAMES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
WARMUP = 2


@dataclass(frozen=True, kw_only=True)
class Case:
    """Everything that a run measures, and how much of it."""

    device: torch.device
    preset: str
    height: int
    width: int
    batches: tuple[int, ...]
    dtypes: tuple[str, ...]
    fixtures: tuple[Path, ...]
    min_seconds: float
    """A speed is taken over at least so long."""
    label_images: int
    train_batch: int
    train_steps: int
    dino: str
    """`tiny` as it is published, or `toy`: a few thousand parameters, to test this program."""
    budget_s: float
    """A part that begins later is left out, and says so."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table."""

    part: str
    what: str
    dtype: str = ""
    batch: int = 0
    figures: dict[str, float | int | str] = field(default_factory=dict)
    failure: str = ""

    def __str__(self) -> str:
        said = self.failure or ", ".join(f"{n} {_short(v)}" for n, v in self.figures.items())
        batch = str(self.batch) if self.batch else ""
        return f"{self.part:9} {self.what:34} {self.dtype:5} {batch:>5}  {said}"

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def _short(value: float | int | str) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def synchronize(device: torch.device) -> None:
    """Wait for what was started."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_of(work: Callable[[], object], device: torch.device, min_seconds: float) -> float:
    """Wall seconds of one call, the mean over at least `min_seconds` after a warm-up."""
    for _ in range(WARMUP if device.type == "cuda" else 1):
        work()
    synchronize(device)
    began, count = time.perf_counter(), 0
    while count == 0 or time.perf_counter() - began < min_seconds:
        work()
        count += 1
        synchronize(device)
    return (time.perf_counter() - began) / count


def start_peak(device: torch.device) -> None:
    """Forget what was the most memory so far; a CPU's process cannot."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def autocast(device: torch.device, dtype: str) -> torch.autocast:
    """The context in which a network computes in `dtype`."""
    return torch.autocast(device.type, DTYPES[dtype], enabled=dtype != "fp32")
