"""Memory runs out, batches are halved, and the answers stay the same."""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from model.config import get_preset
from model.files.directory import save_pretrained
from model.network.glip import Glip
from model.teacher.load import load_teacher
from model.teacher.options import TeacherOptions
from model.training.memory import peak_memory_gib
from tests.benchmarks.gpu.case import Case, Row, start_peak
from tests.benchmarks.gpu.speed import requests

IMAGES = 8
FITS = 3
"""Images for which there is memory."""


def measure_halving(case: Case) -> Generator[Row]:
    """Eight images where about three fit.

    A GPU's memory is limited for this process, to what three images took. On a CPU the network
    refuses more than three at once, with the error that a GPU gives.
    """
    with tempfile.TemporaryDirectory() as name:
        torch.manual_seed(0)
        directory = save_pretrained(Glip(get_preset(case.preset)), Path(name) / "teacher")
        options = TeacherOptions(
            batch_size=IMAGES,
            min_size=min(case.height, case.width),
            max_size=max(case.height, case.width),
        )
        start_peak(case.device)
        teacher = load_teacher(directory, device=str(case.device), options=options)
        asked = requests(case, IMAGES)
        alone = [teacher.ground([one])[0] for one in asked]
        teacher.ground(asked[:FITS])
        with _little_memory(case, teacher):
            together = teacher.ground(asked)
        worst = max(
            float(np.abs(a.phrase_best_score - b.phrase_best_score).max())
            for a, b in zip(alone, together, strict=True)
        )
        yield Row(
            part="memory", what=f"{IMAGES} images where {FITS} fit", dtype="fp32", batch=IMAGES,
            figures={
                "batch afterwards": teacher.batch_size,
                "answers": len(together),
                "worst score difference": worst,
            },
            failure="" if teacher.batch_size < IMAGES else "memory did not run out",
        )  # fmt: skip


class _little_memory:  # noqa: N801  (a context manager)
    def __init__(self, case: Case, teacher: Any) -> None:
        self._device = case.device
        self._teacher = teacher

    def __enter__(self) -> None:
        if self._device.type == "cuda":
            share = peak_memory_gib(self._device) * 2**30 * 1.05
            total = torch.cuda.get_device_properties(self._device).total_memory
            torch.cuda.empty_cache()
            # By its number: torch refuses a device without one; None is the current.
            torch.cuda.set_per_process_memory_fraction(min(1.0, share / total), self._device.index)
            return
        self._model = self._teacher._model
        encode = self._model.encode_image

        def limited(pixels_B3HW: Tensor) -> Sequence[Tensor]:
            if len(pixels_B3HW) > FITS:
                raise torch.OutOfMemoryError(f"CUDA out of memory: {len(pixels_B3HW)} images")
            found: Sequence[Tensor] = encode(pixels_B3HW)
            return found

        self._model.encode_image = limited

    def __exit__(self, *_: object) -> None:
        if self._device.type == "cuda":
            torch.cuda.set_per_process_memory_fraction(1.0, self._device.index)
        else:
            del self._model.encode_image
