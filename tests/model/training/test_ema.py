from __future__ import annotations

import pytest
import torch
from torch import nn

from model.training.ema import WeightAverage


def model_of(value: float) -> nn.Linear:
    model = nn.Linear(1, 1)
    nn.init.constant_(model.weight, value)
    nn.init.constant_(model.bias, value)
    return model


def test_a_constant_decay_is_the_reference_rule():
    model = model_of(0.0)
    average = WeightAverage(model, 0.9, ramp=False)
    nn.init.constant_(model.weight, 1.0)
    for _ in range(3):
        average.update()
    average.swap()
    assert model.weight.item() == pytest.approx(1 - 0.9**3)


def test_the_ramp_forgets_the_start_quickly():
    model = model_of(0.0)
    average = WeightAverage(model, 0.999)
    nn.init.constant_(model.weight, 1.0)
    for _ in range(20):
        average.update()
    average.swap()
    assert model.weight.item() > 0.99


def test_swapping_twice_restores():
    model = model_of(2.0)
    average = WeightAverage(model, 0.5)
    nn.init.constant_(model.weight, 7.0)
    average.update()
    average.swap()
    assert model.weight.item() != 7.0
    average.swap()
    assert model.weight.item() == 7.0


def test_frozen_parameters_have_no_average():
    model = model_of(1.0)
    model.bias.requires_grad_(False)
    weights = WeightAverage(model, 0.9).state_dict()["weights"]
    assert list(weights) == ["weight"]


def test_state_comes_back_and_foreign_state_is_refused():
    average = WeightAverage(model_of(1.0), 0.9)
    average.update()
    other = WeightAverage(model_of(5.0), 0.9)
    other.load_state_dict(average.state_dict())
    assert other.updates == 1
    assert torch.equal(other.state_dict()["weights"]["weight"], torch.ones(1, 1))
    with pytest.raises(KeyError, match="of other parameters, first: 'bias'"):
        other.load_state_dict({"updates": 1, "weights": {"weight": torch.ones(1, 1)}})


def test_statistics_of_batch_norms_are_averaged_too():
    model = nn.BatchNorm1d(1)
    average = WeightAverage(model, 0.5, ramp=False)
    model(torch.full((4, 1), 10.0))
    average.update()
    average.swap()
    assert model.running_mean.item() == pytest.approx(0.5)
    average.swap()
    assert model.running_mean.item() == pytest.approx(1.0)
    assert "num_batches_tracked" not in average.state_dict()["weights"]
