"""Recorded outputs of the reference, computed on the device in every dtype."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
import torch

from model.config import get_preset
from tests.benchmarks.gpu.case import Case, Row, autocast
from tests.parity.detections import compare_answers
from tests.parity.fixture import Fixture
from tests.parity.forward import check_forward, detect, fixture_inputs
from tests.parity.losses import check_losses
from tests.parity.weights import recipe_model


def measure_parity(case: Case) -> Generator[Row]:
    """For each fixture and dtype the worst relative error, and what became of the detections.

    Single precision is measured without TF32, and on a GPU with it as well: torch uses it for
    convolutions unless it is told not to.
    """
    for path in case.fixtures:
        recorded = Fixture.read(path)
        model = recipe_model(get_preset(recorded.preset)).to(case.device)
        if "loss/names" in recorded.arrays:
            fixture = Fixture.read(path)
            with _tf32(False):
                check_losses(fixture, model)
            yield Row(part="parity", what=path.stem, dtype="fp32", figures=_errors(fixture))
            continue
        for dtype in case.dtypes:
            for tf32 in (False, True) if _has_tf32(case, dtype) else (False,):
                fixture = Fixture.read(path)
                if dtype != "fp32" or tf32:
                    fixture.norm_tolerance = float("inf")
                with _tf32(tf32), autocast(case.device, dtype):
                    check_forward(fixture, model)
                    found = _answers(fixture, model)
                name = path.stem + (" (TF32)" if tf32 else "")
                yield Row(part="parity", what=name, dtype=dtype, figures=_errors(fixture) | found)


def _errors(fixture: Fixture) -> dict[str, float | int | str]:
    lines = [line for line in fixture.lines if line.limit > 0]
    worst = max(lines, key=lambda line: line.error)
    median = float(np.median([line.error for line in lines]))
    failed = sum(not line.passed for line in fixture.lines)
    return {
        "worst error": worst.error,
        "at": worst.name,
        "median": median,
        "over their limit": f"{failed} of {len(fixture.lines)}",
    }


@torch.inference_mode()
def _answers(fixture: Fixture, model: torch.nn.Module) -> dict[str, float | int | str]:
    pixels, tokens = fixture_inputs(fixture, model)
    found = detect(fixture, model(pixels, tokens))
    compared = [
        compare_answers(fixture, image, detections) for image, detections in enumerate(found)
    ]
    return {
        "boxes found again": float(np.mean([one.found_share for one in compared])),
        "their median shift px": float(np.median([one.shift_px for one in compared])),
        "their worst score difference": max(one.score_difference for one in compared),
    }


def _has_tf32(case: Case, dtype: str) -> bool:
    return dtype == "fp32" and case.device.type == "cuda"


class _tf32:  # noqa: N801  (a context manager)
    """Whether convolutions and products may round their inputs to TF32."""

    def __init__(self, allowed: bool) -> None:
        self._allowed = allowed

    def _set(self, value: tuple[bool, bool]) -> None:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = value

    def __enter__(self) -> None:
        self._before = (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32)
        self._set((self._allowed, False))

    def __exit__(self, *_: object) -> None:
        self._set(self._before)
