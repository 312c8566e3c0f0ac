from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from model.config import get_preset
from model.network import deform
from model.network.glip import Glip
from model.network.recompute import recompute, set_recomputes
from model.outputs import TokenBatch


def gradients(model: Glip, pixels: Tensor, tokens: TokenBatch) -> tuple[list[Tensor], int]:
    """Of a sum of squares in training mode, and the bytes that waited for the backward pass."""
    held: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        held[storage.data_ptr()] = storage.nbytes()
        return tensor

    torch.manual_seed(3)
    model.zero_grad()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = model.train()(pixels, tokens)
    (output.logits_BNT.square().mean() + output.box_deltas_BN4.square().mean()).backward()
    found = [p.grad for p in model.parameters() if p.grad is not None]
    return found, sum(held.values())


@pytest.mark.parametrize("chunk", [deform.GRADIENT_CHUNK_BYTES, 1])
def test_gradients_are_those_of_keeping_everything_with_dropout_in_less_memory(
    chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    model = Glip(get_preset("glip-toy"))
    pixels = torch.randn(2, 3, 128, 128)
    ids = torch.randint(1000, 2000, (2, 12))
    tokens = TokenBatch(ids, torch.ones_like(ids))
    monkeypatch.setattr(deform, "GRADIENT_CHUNK_BYTES", chunk)
    ours, few = gradients(model, pixels, tokens)
    set_recomputes(model, False)
    exact, many = gradients(model, pixels, tokens)
    assert len(ours) == len(exact) > 100
    largest = max(gradient.abs().max().item() for gradient in exact)
    for one, other in zip(ours, exact, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-7 * largest)
    assert few < 0.75 * many


def test_random_numbers_are_the_same_in_both_passes() -> None:
    x = torch.ones(1000, requires_grad=True)
    torch.manual_seed(1)
    y = recompute(lambda t: F.dropout(t * t, 0.5), x, draws=True)
    y.sum().backward()
    assert torch.equal(x.grad, y.detach() * 2)


def test_without_gradients_it_is_the_function() -> None:
    with torch.no_grad():
        assert recompute(lambda *given: given, 1, 2, draws=True) == (1, 2)
