from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from model.losses.glip_loss import GlipLoss
from model.training.loop import Trainer
from model.training.optimizer import OptimizerOptions, RateRule
from model.training.options import TrainOptions
from model.training.step import frozen_norms
from tests.model.training.tiny import TinyGlip, grid, make_batch

OPTIONS = TrainOptions(
    steps=4, batch_size=4, optimizer=OptimizerOptions(rate=1e-2, rules=()), evaluate_every=2
)


class Normed(TinyGlip):
    """The tiny network with a batch norm behind its backbone."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(self.backbone, nn.BatchNorm2d(16))


def trained(directory, optimizer: OptimizerOptions) -> nn.BatchNorm2d:
    torch.manual_seed(0)
    model = Normed()
    Trainer(
        model=model,
        loss=GlipLoss(),
        grid=grid,
        make_batch=make_batch,
        options=replace(OPTIONS, optimizer=optimizer),
        directory=directory,
        fingerprint={},
        evaluate=lambda model, step: {},
    ).run()
    norm = model.backbone[1]
    assert isinstance(norm, nn.BatchNorm2d)
    return norm


@pytest.mark.parametrize(
    "optimizer",
    [
        OptimizerOptions(rules=(), only=("boxes.*",)),
        OptimizerOptions(rules=(RateRule(pattern="backbone.*", rate=0.0),)),
    ],
)
def test_the_statistics_of_a_frozen_batch_norm_stay(tmp_path, optimizer) -> None:
    """Also after an evaluation, which puts the model back into training."""
    norm = trained(tmp_path, optimizer)
    assert torch.equal(norm.running_mean, torch.zeros(16))
    assert torch.equal(norm.running_var, torch.ones(16))


def test_a_batch_norm_of_which_something_is_trained_counts(tmp_path) -> None:
    norm = trained(tmp_path, OptimizerOptions(rules=(), only=("boxes.*", "backbone.1.bias")))
    assert not torch.equal(norm.running_mean, torch.zeros(16))


def test_a_batch_norm_without_weights_is_part_of_what_is_around_it() -> None:
    model = nn.Sequential(nn.BatchNorm1d(3, affine=False), nn.BatchNorm1d(3), nn.LayerNorm(3))
    assert frozen_norms(model, []) == [model[1]]
    assert frozen_norms(model, [model[1].weight]) == []


@pytest.mark.parametrize(
    ("accumulate", "only", "said"),
    [
        (1, (), []),
        (2, ("boxes.*",), []),
        (2, (), ["1 batch norms are trained: each sees the statistics of 2 images"]),
    ],
)
def test_batch_norms_that_see_a_part_of_the_batch_are_told_of(tmp_path, accumulate, only, said):
    told: list[str] = []
    optimizer = OptimizerOptions(rules=(), only=only)
    Trainer(
        model=Normed(),
        loss=GlipLoss(),
        grid=grid,
        make_batch=make_batch,
        options=replace(OPTIONS, steps=1, accumulate=accumulate, optimizer=optimizer),
        directory=tmp_path,
        fingerprint={},
        say=told.append,
    ).run()
    assert [sentence.partition(",")[0] for sentence in told] == said
