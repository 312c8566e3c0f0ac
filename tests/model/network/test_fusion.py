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
