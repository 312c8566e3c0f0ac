from __future__ import annotations

import pytest
import torch
from torchvision.ops import deform_conv2d

from model.network import deform
from model.network.deform import DeformConv, deform_conv_by_rows, reread, resize_offsets


def _inputs(in_sizes, out_sizes, spread: float):
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    maps = [normal(2, 6, *size) for size in in_sizes]
    offsets = [(normal(2, 18, *size) * spread).requires_grad_() for size in out_sizes]
    masks = [normal(2, 9, *size).requires_grad_() for size in out_sizes]
    return [x.requires_grad_() for x in maps], offsets, masks


def _weights():
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(s, generator=generator).requires_grad_() for s in ((5, 6, 3, 3), (5,))]


@pytest.mark.parametrize(
    ("in_sizes", "out_sizes", "stride"),
    [
        ([(7, 9)], [(7, 9)], 1),
        ([(7, 9), (4, 5), (1, 1)], [(7, 9), (4, 5), (1, 1)], 1),
        ([(7, 9), (4, 5), (2, 1)], [(4, 5), (2, 3), (1, 1)], 2),
    ],
)
@pytest.mark.parametrize("spread", [0.0, 0.7, 6.0])
def test_values_and_gradients_equal_torchvision(in_sizes, out_sizes, stride, spread):
    maps, offsets, masks = _inputs(in_sizes, out_sizes, spread)
    weight, bias = _weights()
    ours = deform_conv_by_rows(maps, offsets, masks, weight, bias, stride=stride)
    theirs = [
        deform_conv2d(x, offset, weight, bias, stride=stride, padding=1, mask=mask)
        for x, offset, mask in zip(maps, offsets, masks, strict=True)
    ]
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
    # Where an offset is a whole number the slope has a corner: left and right side differ.
    wanted = [*maps, *masks, weight, bias] + ([] if spread == 0.0 else offsets)
    for one, other in zip(
        torch.autograd.grad(sum((y**2).sum() for y in ours), wanted),
        torch.autograd.grad(sum((y**2).sum() for y in theirs), wanted),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_chunks_give_the_same(monkeypatch):
    sizes = [(9, 11), (5, 6)]
    maps, offsets, masks = _inputs(sizes, sizes, 1.0)
    weight, bias = _weights()
    whole = deform_conv_by_rows(maps, offsets, masks, weight, bias, stride=1)
    monkeypatch.setattr(deform, "CHUNK_BYTES", 1)
    parts = deform_conv_by_rows(maps, offsets, masks, weight, bias, stride=1)
    for one, other in zip(whole, parts, strict=True):
        torch.testing.assert_close(one, other)


@torch.no_grad()
def test_a_nan_offset_makes_nan_and_no_crash():
    maps, offsets, masks = _inputs([(4, 4)], [(4, 4)], 0.5)
    offsets[0][0, 0, 1, 1] = torch.nan
    offsets[0][1, 1, 2, 2] = torch.inf
    (output,) = deform_conv_by_rows(maps, offsets, masks, *_weights(), stride=1)
    assert output[0, :, 1, 1].isnan().all()
    assert output[0, :, 0, 0].isfinite().all()


def test_rereading_takes_the_first_values_of_each_image():
    x = torch.arange(2 * 2 * 3 * 4).view(2, 2, 3, 4)
    again = reread(x, (2, 2))
    assert again.shape == (2, 2, 2, 2)
    assert again[1].flatten().tolist() == x[1].flatten()[:8].tolist()


def test_resized_offsets_are_in_the_coarser_pixels():
    offsets = torch.full((1, 18, 4, 8), 2.0)
    assert (resize_offsets(offsets, (2, 4)) == 1.0).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_weights_give_half_maps(dtype):
    torch.manual_seed(0)
    conv = DeformConv(8, 8)
    x, offsets, mask = torch.randn(1, 8, 9, 7), torch.randn(1, 18, 9, 7), torch.rand(1, 9, 9, 7)
    with torch.no_grad():
        (want,) = conv([x], [offsets], [mask])
        (got,) = conv.to(dtype)([x.to(dtype)], [offsets], [mask])
    assert got.dtype == dtype
    torch.testing.assert_close(got.float(), want, atol=0.03, rtol=0.05)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@torch.no_grad()
def test_a_half_table_errs_no_more_than_its_product_and_gives_half_maps(dtype, monkeypatch):
    """On GPUs the table is in half precision too: three roundings of a sample instead of one."""
    sizes = [(31, 47), (16, 24)]
    generator = torch.Generator().manual_seed(0)
    maps = [torch.randn(2, 64, *size, generator=generator) for size in sizes]
    offsets = [torch.randn(2, 18, *size, generator=generator) * 3 for size in sizes]
    masks = [torch.rand(2, 9, *size, generator=generator) for size in sizes]
    weight = torch.randn(32, 64, 3, 3, generator=generator) / 24
    inputs = (maps, offsets, masks, weight, torch.zeros(32))
    want = deform_conv_by_rows(*inputs, stride=1)
    with torch.autocast("cpu", dtype):
        product = deform_conv_by_rows(*inputs, stride=1)
    monkeypatch.setattr(deform, "CHUNK_BYTES", 500_000)
    table = deform_conv_by_rows(*inputs, stride=1, table_dtype=dtype)
    assert {y.dtype for y in table} == {dtype}

    def error(found) -> float:
        parts = [(y.float() - x).square().mean() for y, x in zip(found, want, strict=True)]
        return float(sum(parts).sqrt())

    assert error(table) < 1.5 * error(product)


@torch.no_grad()
def test_positions_of_a_half_table_keep_their_fractions():
    """At 1000 a bfloat16 knows every fourth pixel, a float16 every half."""
    ramp = torch.arange(1100.0)[None, None, None].expand(1, 1, 3, -1) / 1100
    offsets = torch.full((1, 18, 3, 1100), 0.25)
    masks = torch.zeros(1, 9, 3, 1100)
    masks[:, 4] = 1.0
    weight = torch.zeros(1, 1, 3, 3)
    weight[..., 1, 1] = 1.0
    inputs = ([ramp], [offsets], [masks], weight, torch.zeros(1))
    (got,) = deform_conv_by_rows(*inputs, stride=1, table_dtype=torch.float16)
    wanted = (torch.arange(1098.0) + 0.25) / 1100
    torch.testing.assert_close(got[0, 0, 1, :1098].float(), wanted, atol=1e-3, rtol=0)
