from __future__ import annotations

import math

import pytest
import torch

from model.network import fusion
from model.network.fusion import BiAttention, _weighted_sum

BATCH, POSITIONS, WORDS, HEADS = 3, 37, 9, 2


@pytest.fixture
def layer() -> BiAttention:
    torch.manual_seed(0)
    layer = BiAttention(
        image_dim=12, text_dim=20, joint_dim=16, num_heads=HEADS, dropout=0.0, gamma=0.5
    )
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    return layer


def _inputs():
    generator = torch.Generator().manual_seed(1)
    v = torch.randn(BATCH, POSITIONS, 12, generator=generator, requires_grad=True)
    words = torch.randn(BATCH, WORDS, 20, generator=generator, requires_grad=True)
    mask = torch.tensor([[1] * 9, [1] * 4 + [0] * 5, [1] + [0] * 8])
    return v, words, mask


def _as_written(layer: BiAttention, v, words, mask):
    """The formulas of docs/glip.md section 7.1, one projection after the other."""
    v, words = layer.norm_v(v), layer.norm_l(words)

    def heads(x):
        return x.unflatten(-1, (HEADS, -1)).transpose(1, 2)

    query = heads(layer.query_v(v)) / math.sqrt(8)
    key, value_v, value_l = (
        heads(layer.key_l(words)),
        heads(layer.value_v(v)),
        heads(layer.value_l(words)),
    )
    scores = query @ key.mT
    over_image = scores.mT.softmax(-1)
    additive = torch.where(mask > 0, 1.0, -9e15)[:, None, None]
    over_words = (scores + additive).softmax(-1)
    dv = layer.out_v((over_words @ value_l).transpose(1, 2).flatten(2))
    dl = layer.out_l((over_image @ value_v).transpose(1, 2).flatten(2))
    return v + layer.gamma_v * dv, words + layer.gamma_l * dl


def test_values_and_gradients_are_those_of_the_formulas(layer):
    v, words, mask = _inputs()
    wanted = [v, words, *layer.parameters()]
    ours, theirs = layer(v, words, mask), _as_written(layer, v, words, mask)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
    weights = [torch.randn(x.shape) for x in ours]
    for one, other in zip(
        torch.autograd.grad(sum((x * w).sum() for x, w in zip(ours, weights, strict=True)), wanted),
        torch.autograd.grad(
            sum((x * w).sum() for x, w in zip(theirs, weights, strict=True)), wanted
        ),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=2e-4)


@pytest.mark.parametrize("chunk", [1, 1_000_000])
def test_without_gradients_the_same_in_one_pass(layer, chunk, monkeypatch):
    monkeypatch.setattr(fusion, "CHUNK_SCORES", chunk)
    monkeypatch.setattr(fusion, "SMALLEST_CHUNK", 5)
    v, words, mask = _inputs()
    with torch.no_grad():
        ours = layer(v * 3, words, mask)
        theirs = _as_written(layer, v * 3, words, mask)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_trimmed_text_gives_the_same_for_the_words_that_are_left(layer):
    v, words, mask = _inputs()
    with torch.no_grad():
        whole = layer(v[1:2], words[1:2], mask[1:2])
        trimmed = layer(v[1:2], words[1:2, :4], mask[1:2, :4])
    torch.testing.assert_close(whole[0], trimmed[0])
    torch.testing.assert_close(whole[1][:, :4], trimmed[1])


def test_the_residual_is_around_the_normalised_features(layer):
    v, words, mask = _inputs()
    with torch.no_grad():
        moved = layer(v * 100 + 7, words, mask)[0]
        torch.testing.assert_close(moved, layer(v, words, mask)[0], rtol=1e-3, atol=1e-3)


def test_dropout_acts_in_training_alone(layer):
    layer.dropout = 0.5
    v, words, mask = _inputs()
    layer.eval()
    assert torch.equal(layer(v, words, mask)[0], layer(v, words, mask)[0])
    layer.train()
    assert not torch.equal(layer(v, words, mask)[0], layer(v, words, mask)[0])
    with torch.no_grad():
        assert not torch.equal(layer(v, words, mask)[0], layer(v, words, mask)[0])


def test_many_equal_positions_do_not_overflow_half_precision(layer):
    """Before they are averaged, 30,000 positions of 3.5 are 105,000: more than fp16 holds."""
    v = torch.full((1, 30_000, layer.norm_v.normalized_shape[0]), 3.5, dtype=torch.float16)
    shares = torch.ones(1, 30_000, 2)
    assert (_weighted_sum(shares, v) == 105_000).all()
    with torch.autocast("cpu", torch.float16):
        assert (_weighted_sum(shares, v.float()) == 105_000).all()


@pytest.mark.parametrize("at_once", [1, 1_000_000])
def test_the_fused_kernel_gives_what_the_chunks_give(layer, at_once, monkeypatch):
    monkeypatch.setattr(fusion, "FUSED_VALUES", at_once)
    v, words, mask = _inputs()
    with torch.no_grad():
        folded = layer._fold(layer.norm_l(words), mask)
        ours = layer._attend_fused(v * 3, folded, torch.float32)
        theirs = layer._attend_in_chunks(v * 3, folded)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("autocast", [True, False])
def test_in_half_precision_the_fused_kernel_errs_as_the_chunks_do(autocast, dtype):
    generator = torch.Generator().manual_seed(2)
    layer = BiAttention(
        image_dim=64, text_dim=48, joint_dim=256, num_heads=4, dropout=0.0, gamma=0.5
    )
    v = torch.randn(2, 700, 64, generator=generator)
    words = torch.randn(2, 19, 48, generator=generator)
    mask = torch.ones(2, 19, dtype=torch.int64)
    mask[1, 7:] = 0
    with torch.no_grad():
        torch.nn.init.normal_(layer.query_v.bias, generator=generator)
        want = layer._attend_in_chunks(v, layer._fold(words, mask))[:2]
        if not autocast:
            layer, v, words = layer.to(dtype), v.to(dtype), words.to(dtype)
        with torch.autocast("cpu", dtype, enabled=autocast):
            folded = layer._fold(words, mask)
            chunks = layer._attend_in_chunks(v, folded)[:2]
            fused = layer._attend_fused(v, folded, dtype)[:2]
    for one, other, truth in zip(fused, chunks, want, strict=True):
        assert one.dtype == other.dtype == v.dtype
        error, usual = ((x.float() - truth).square().mean().sqrt() for x in (one, other))
        assert error < (1.1 if dtype == torch.bfloat16 else 1.5) * usual  # those sum in float32


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_text_of_padding_alone_spoils_no_other_image(layer, dtype):
    v, words, mask = _inputs()
    with torch.no_grad():
        want = layer._attend_fused(v, layer._fold(words, mask), dtype)
        mask[1] = 0
        found = layer._attend_fused(v, layer._fold(words, mask), dtype)
    for one, other in zip(found, want, strict=True):
        assert torch.equal(one[::2], other[::2])
        assert one.isfinite().all()


def test_scores_beyond_half_precision_are_no_nan_in_the_fused_kernel(layer):
    """Of 12 channels of 100 with keys of 100: 120,000, where float16 ends at 65,504."""
    keys = torch.full((1, HEADS * 2, 12), 100.0)
    keys[:, ::2] = -100.0
    folded = fusion.Folded(keys, torch.zeros(1, HEADS, 2), keys)
    with torch.no_grad():
        dv, mean, _ = layer._attend_fused(torch.full((1, 5, 12), 100.0), folded, torch.float16)
    assert (dv == HEADS * 100).all()
    assert (mean == 100).all()
