from __future__ import annotations

import pytest
import torch

from model.network.fpn import FeaturePyramid


@pytest.mark.parametrize("size", [(1, 1), (5, 1), (1, 5), (2, 2)])
def test_half_precision_has_the_gradients_of_full_precision_on_the_smallest_maps(size):
    """Without care one column gave whatever was in memory, sometimes NaN."""
    torch.manual_seed(0)
    pyramid = FeaturePyramid([16], 32, num_extra_levels=2, dropblock=0.0)
    maps = [torch.randn(3, 16, *size)]
    gradients = []
    for is_half in (False, True):
        pyramid.zero_grad()
        poison = torch.full((2_000_000,), float("nan"))
        del poison  # what the next tensors may find in their memory
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=is_half):
            levels = pyramid(maps)
        sum(level.float().square().sum() for level in levels).backward()
        gradients.append([parameter.grad for parameter in pyramid.parameters()])
    for exact, half in zip(*gradients, strict=True):
        torch.testing.assert_close(half, exact, rtol=0.05, atol=0.05 * exact.abs().max().item())


def test_extra_levels_halve_the_one_before():
    pyramid = FeaturePyramid([8, 8], 16, num_extra_levels=2, dropblock=0.0)
    levels = pyramid([torch.randn(1, 8, 10, 6), torch.randn(1, 8, 5, 3)])
    assert [tuple(level.shape[-2:]) for level in levels] == [(10, 6), (5, 3), (3, 2), (2, 1)]
