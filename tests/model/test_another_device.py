"""Teachers, scorers and training on a device that is not the CPU: the same values, nothing mixed.

No GPU is asked for: the device is a pretended one (see `pretended_device.py`).
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

WITHIN = {"sam2": 3.0, "clip": 1e-5, "train": 1e-3}
"""Kernels of attention differ between the devices: a mask's area may differ by a pixel or two."""
PIXELS = 1e-3


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """In a process of its own, since torch takes one such device for good."""
    folder = tmp_path_factory.mktemp("device")
    command = [sys.executable, "-m", "tests.model.on_another_device", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    parts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return parts


@pytest.mark.slow
@pytest.mark.parametrize("part", ["glip", "grounding-dino", "owlv2", "clip", "sam2", "train"])
def test_values_are_those_of_the_cpu(part: str, found: dict[str, Any]) -> None:
    assert found[part]["values"] > 0
    assert found[part]["difference"] <= WITHIN.get(part, PIXELS)


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "within"), [("float32", 1e-4), ("bfloat16", 0.1)])
def test_the_network_neither_waits_for_the_device_nor_sends_to_it(
    dtype: str, within: float, found: dict[str, Any]
) -> None:
    """What a CUDA graph needs; the first pass may keep what later ones read."""
    assert (found[dtype]["waits"], found[dtype]["uploads"]) == ({}, 0)
    assert found[dtype]["difference"] < within


@pytest.mark.slow
def test_an_answer_is_fetched_in_two_copies_of_each_image(found: dict[str, Any]) -> None:
    assert found["glip"]["waits"]["_to_copy"] == 2 * 3
