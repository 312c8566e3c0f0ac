from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from model.training.optimizer import (
    OptimizerOptions,
    RateRule,
    build_optimizer,
    plan_parameters,
    set_rates,
    trainable,
)
from schemas.errors import ConfigError


class Tiny(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.text_encoder = nn.Linear(3, 3)
        self.head = nn.Linear(3, 3)
        self.frozen = nn.Parameter(torch.ones(2), requires_grad=False)


def test_the_reference_gives_four_groups():
    optimizer = build_optimizer(Tiny(), OptimizerOptions(rate=1e-4, weight_decay=1e-4))
    found = sorted((g["base_rate"], g["weight_decay"]) for g in optimizer.param_groups)
    wanted = [(1e-5, 1e-4), (2e-5, 0.0), (1e-4, 1e-4), (2e-4, 0.0)]
    assert np.allclose(found, wanted, rtol=1e-9)


def test_rules_multiply_in_order():
    options = OptimizerOptions(
        rate=1.0,
        weight_decay=1.0,
        rules=(RateRule(pattern="a.*", rate=0.1), RateRule(pattern="*bias", rate=2, decay=0)),
    )
    plans = {p.name: (p.rate, p.decay) for p in plan_parameters(["a.bias", "b.w"], options)}
    assert plans == {"a.bias": (0.2, 0.0), "b.w": (1.0, 1.0)}


def test_a_rate_of_zero_freezes():
    model = Tiny()
    options = OptimizerOptions(rules=(RateRule(pattern="head.*", rate=0.0),))
    optimizer = build_optimizer(model, options)
    assert not model.head.weight.requires_grad
    assert len(trainable(optimizer)) == 2


def test_only_leaves_the_rest_frozen():
    model = Tiny()
    build_optimizer(model, OptimizerOptions(only=("head.*",), rules=()))
    trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert trained == ["head.weight", "head.bias"]
    with pytest.raises(ConfigError, match=r"only\[1\]: no parameter matches 'haed\.\*'; names"):
        build_optimizer(Tiny(), OptimizerOptions(only=("head.*", "haed.*"), rules=()))
    with pytest.raises(ConfigError, match="nothing would be trained"):
        build_optimizer(Tiny(), OptimizerOptions(only=("frozen",), rules=()))


def test_rates_follow_the_factor():
    optimizer = build_optimizer(Tiny(), OptimizerOptions(rate=1e-4))
    set_rates(optimizer, 0.5)
    assert all(g["lr"] == g["base_rate"] * 0.5 for g in optimizer.param_groups)


def test_a_rule_that_matches_nothing_is_refused():
    options = OptimizerOptions(rules=(RateRule(pattern="haed.*", rate=0.0),))
    with pytest.raises(ConfigError, match=r"rules\[0\]: no parameter matches 'haed\.\*'"):
        build_optimizer(Tiny(), options)


def test_freezing_everything_is_refused():
    options = OptimizerOptions(rules=(RateRule(pattern="*", rate=0.0),))
    with pytest.raises(ConfigError, match="nothing would be trained"):
        build_optimizer(Tiny(), options)


@pytest.mark.parametrize("rate", [-1, 0])
def test_a_rate_by_which_nothing_is_learnt_is_refused(rate):
    with pytest.raises(ConfigError, match=rf"^rate must be a number > 0, got {rate}"):
        OptimizerOptions(rate=rate)
