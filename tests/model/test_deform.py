from __future__ import annotations

import pytest
import torch
from torchvision.ops import deform_conv2d

from model.deform import deform_conv_by_rows


def _inputs(in_size: tuple[int, int], out_size: tuple[int, int], spread: float):
    generator = torch.Generator().manual_seed(0)
    shapes = [(2, 6, *in_size), (2, 18, *out_size), (2, 9, *out_size), (5, 6, 3, 3), (5,)]
    tensors = [torch.randn(shape, generator=generator) for shape in shapes]
    tensors[1] *= spread
    return [tensor.requires_grad_() for tensor in tensors]


@pytest.mark.parametrize(
    ("in_size", "out_size", "stride"),
    [((7, 9), (7, 9), 1), ((7, 9), (4, 5), 2), ((1, 1), (1, 1), 1), ((2, 1), (1, 1), 2)],
)
@pytest.mark.parametrize("spread", [0.0, 0.7, 6.0])
def test_values_and_gradients_equal_torchvision(in_size, out_size, stride, spread):
    x, offsets, mask, weight, bias = tensors = _inputs(in_size, out_size, spread)
    ours = deform_conv_by_rows(x, offsets, mask, weight, bias, stride=stride)
    theirs = deform_conv2d(x, offsets, weight, bias, stride=stride, padding=1, mask=mask)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    # Where an offset is a whole number the slope has a corner: left and right side differ.
    wanted = [0, 2, 3, 4] if spread == 0.0 else range(5)
    for ours_gradient, theirs_gradient in zip(
        torch.autograd.grad((ours**2).sum(), [tensors[i] for i in wanted]),
        torch.autograd.grad((theirs**2).sum(), [tensors[i] for i in wanted]),
        strict=True,
    ):
        torch.testing.assert_close(ours_gradient, theirs_gradient, rtol=1e-4, atol=1e-4)


def test_a_nan_offset_makes_nan_and_no_crash():
    x, offsets, mask, weight, bias = _inputs((4, 4), (4, 4), 0.5)
    with torch.no_grad():
        offsets[0, 0, 1, 1] = torch.nan
        offsets[1, 1, 2, 2] = torch.inf
        output = deform_conv_by_rows(x, offsets, mask, weight, bias, stride=1)
    assert output[0, :, 1, 1].isnan().all()
    assert output[0, :, 0, 0].isfinite().all()
