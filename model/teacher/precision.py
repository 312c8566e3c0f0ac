"""What `--precision auto` is here: bfloat16 where it is faster and known to find the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from model.teacher.options import TeacherOptions

BFLOAT16_PRESETS = frozenset({"glip-t", "glip-t-a"})
"""Whose recorded detections stay within both tolerances in bfloat16. GLIP-L's do not (0.053), and
glip-nano is not faster in it."""
SCORE_TOLERANCE = 0.04
"""A phrase's best score may differ by so much from float32's; measured: 0.031."""
SHIFT_TOLERANCE_PX = 1.0
"""And half of the boxes may move by at most so much of the network's input; measured: 0.65."""


def cpu_has_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 itself (AVX512-BF16 or AMX); emulated it is slower."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def settle_precision(
    options: TeacherOptions,
    preset: str,
    device: torch.device,
    *,
    has_bfloat16: Callable[[], bool] = cpu_has_bfloat16,
) -> TeacherOptions:
    """The same options with a number format in place of `auto`: a fingerprint names what was done.

    On a GPU `auto` is float32, since no figures of a GPU are recorded.

    Args:
        options: As asked.
        preset: Of the network; another kind of teacher has float32.
        device: Where it will be.
        has_bfloat16: Of the CPU.
    """
    if options.precision != "auto":
        return options
    takes = device.type == "cpu" and preset in BFLOAT16_PRESETS and has_bfloat16()
    return replace(options, precision="bfloat16" if takes else "float32")
