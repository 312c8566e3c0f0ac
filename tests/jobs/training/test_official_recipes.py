from __future__ import annotations

import json

import pytest
import torch

from jobs.training.load_recipe import load_recipe
from jobs.training.network import network_config
from model.files.official_names import to_official
from model.network.glip import Glip
from model.training.optimizer import build_optimizer, plan_parameters
from tests.golden.training.make_optimizer_groups import GOLDEN, group_name, summary


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["glip-t", "glip-t-a", "glip-l"])
def test_every_parameter_has_the_rate_and_decay_of_the_reference(preset):
    recipe = load_recipe(None, preset, ())
    config = network_config(recipe)
    with torch.device("meta"):
        model = Glip(config)
    names = [name for name, _ in model.named_parameters()]
    plans = plan_parameters(names, recipe.train.optimizer)
    numbered = {name: torch.tensor(number) for number, name in enumerate(names)}
    theirs = to_official(numbered, config)
    number_of = {int(t): key for key, t in theirs.items() if t.ndim == 0}
    rows = [
        (number_of[number], group_name(plan.rate, plan.decay)) for number, plan in enumerate(plans)
    ]
    golden = json.loads(GOLDEN.read_text())[preset]
    assert summary(rows) == golden
    # One group for each distinct pair instead of one for each tensor.
    groups = build_optimizer(model, recipe.train.optimizer).param_groups
    assert len(groups) == len(golden) - ("frozen" in golden)
