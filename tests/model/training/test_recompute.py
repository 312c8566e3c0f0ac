from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from model.config import get_preset
from model.network.glip import Glip
from model.training.recompute import recompute_activations
from schemas.errors import ConfigError
from tests.model.training.test_loop import OPTIONS, assert_equal, trainer
from tests.model.training.tiny import TinyGlip


def test_a_run_ends_with_the_same_weights(tmp_path):
    options = replace(OPTIONS, activation_checkpointing=("back*", "dropout"))
    plain, saving = trainer(tmp_path / "a"), trainer(tmp_path / "b", options)
    plain.run()
    saving.run()
    assert_equal(plain, saving)


def test_the_forward_pass_runs_again_in_training_only():
    model, calls = TinyGlip(), []
    model.backbone.register_forward_hook(lambda *_: calls.append(1))
    inner = model.backbone.forward
    model.backbone.forward = lambda x: (calls.append(1), inner(x))[1]
    assert recompute_activations(model, ["backbone"]) == ["backbone"]
    x = torch.randn(1, 3, 8, 8, requires_grad=True)
    calls.clear()
    model.backbone(x).sum().backward()
    assert len(calls) == 3  # the hook once, the pass twice
    calls.clear()
    model.eval()
    model.backbone(x).sum().backward()
    assert len(calls) == 2


def test_only_the_outermost_match_is_wrapped():
    model = Glip(get_preset("glip-toy"))
    assert recompute_activations(model, ["tower.*"]) == ["tower.0", "tower.1"]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("tour.*", r"no module matches 'tour\.\*'; modules are backbone, pyramid"),
        ("backbone", "'backbone' has batch normalisation"),
    ],
)
def test_what_cannot_be_recomputed_is_refused(pattern, message):
    model = Glip(get_preset("glip-nano")) if pattern == "backbone" else Glip(get_preset("glip-toy"))
    with pytest.raises(ConfigError, match=message):
        recompute_activations(model, [pattern])


def test_a_list_of_modules_is_not_one():
    model = nn.Sequential(nn.ModuleList([nn.Linear(2, 2)]), nn.Linear(2, 2))
    assert recompute_activations(model, ["*"]) == ["0.0", "1"]
