from __future__ import annotations

import pytest
import torch
from torch import nn

from model.config import glip_toy
from model.network.glip import Glip
from model.outputs import TokenBatch
from model.training.lora import LoraOptions, add_lora, merged_state
from schemas.errors import ConfigError


def toy() -> Glip:
    torch.manual_seed(0)
    return Glip(glip_toy()).eval()


def forward(model: Glip) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(100, 2000, (1, 6), generator=generator)
    pixels = torch.randn(1, 3, 64, 64, generator=generator)
    with torch.no_grad():
        return model(pixels, TokenBatch(ids, torch.ones_like(ids))).logits_BNT


def test_fresh_adapters_change_nothing_and_freeze_the_rest():
    model = toy()
    before = forward(model)
    names = add_lora(model, LoraOptions(rank=2))
    assert any("fusion.key_l" in name for name in names)
    torch.testing.assert_close(forward(model), before)
    trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert all("lora_" in name or name.startswith("head.") for name in trained)
    assert any(name.startswith("head.") for name in trained)


def test_the_merged_weights_are_the_adapted_network():
    model = toy()
    add_lora(model, LoraOptions(rank=2))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter, std=0.2)
    plain = toy()
    assert not torch.allclose(forward(model), forward(plain), atol=1e-3)
    plain.load_state_dict(merged_state(model))
    torch.testing.assert_close(forward(model), forward(plain), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (("*.nothing",), "match no module of this network"),
        (("*.fusion.out_v",), "out_v' is folded into others"),
        (("backbone",), "'backbone' is not a linear layer"),
    ],
)
def test_layers_that_cannot_be_adapted_are_refused(targets, message):
    with pytest.raises(ConfigError, match=message):
        add_lora(toy(), LoraOptions(targets=targets))


def test_a_rank_of_zero_is_refused():
    with pytest.raises(ConfigError, match=r"^rank must be a whole number >= 1, got 0"):
        LoraOptions(rank=0)
