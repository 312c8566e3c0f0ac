"""How long a teacher takes for an image, roughly and before anything is loaded: for planning."""

from __future__ import annotations

import json
from pathlib import Path

from model.files.directory import CONFIG_NAME
from model.files.shipped import SHIPPED
from model.files.source import resolve_source
from model.teacher.ensemble import members_of
from schemas.errors import GlipforgeError

REFERENCE_BYTES = 0.93e9
REFERENCE_SIZE = 800
REFERENCE_CPU_S = 4.8
"""GLIP-T at 800 x 1088 on one core: see tests/benchmarks/bench_model.py."""
GPU_SPEEDUP = 100.0


def seconds_per_image(source: Path | str | None, *, min_size: int = 0, on_gpu: bool) -> float:
    """Of one worker: proportional to the bytes of the weights and to the pixels of the input.

    min_size: short side of the input where the user chose one; 0: what the model says. A teacher
    that is not a directory yet counts as GLIP-T.
    """
    if len(members := members_of(source)) > 1:
        return sum(seconds_per_image(one, min_size=min_size, on_gpu=on_gpu) for one in members)
    size, num_bytes = min_size, REFERENCE_BYTES
    try:
        directory = resolve_source(source or SHIPPED)
        found = sum(file.stat().st_size for file in directory.glob("*.safetensors"))
        num_bytes = found or REFERENCE_BYTES
        config = json.loads((directory / CONFIG_NAME).read_text(encoding="utf-8"))
        size = size or int(config.get("min_size", 0))
    except (GlipforgeError, OSError, ValueError, AttributeError, TypeError):
        pass  # whatever is wrong with it is said where it is loaded
    seconds = REFERENCE_CPU_S * num_bytes / REFERENCE_BYTES
    seconds *= ((size or REFERENCE_SIZE) / REFERENCE_SIZE) ** 2
    return seconds / GPU_SPEEDUP if on_gpu else seconds
