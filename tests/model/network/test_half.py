from __future__ import annotations

from unittest.mock import patch

import pytest
import torch

from model.network.half import half_without_gradients

WEIGHT = torch.zeros(1)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@torch.no_grad()
def test_the_format_is_that_of_the_weights_or_of_autocast(dtype: torch.dtype) -> None:
    assert half_without_gradients("cuda", WEIGHT.to(dtype)) == dtype
    assert half_without_gradients("cuda", WEIGHT) is None
    with torch.autocast("cpu", dtype):  # of another device
        assert half_without_gradients("cuda", WEIGHT) is None
    with (
        patch("torch.is_autocast_enabled", lambda _: True),
        patch("torch.get_autocast_dtype", lambda _: dtype),
    ):
        assert half_without_gradients("cuda", WEIGHT) == dtype
    assert half_without_gradients("cuda", WEIGHT.double()) is None


@pytest.mark.parametrize("device", ["cpu", "mps"])
@torch.no_grad()
def test_cpus_and_apples_gpus_have_ways_of_their_own(device: str) -> None:
    assert half_without_gradients(device, WEIGHT.half()) is None


def test_with_gradients_there_is_none() -> None:
    assert half_without_gradients("cuda", WEIGHT.half()) is None
