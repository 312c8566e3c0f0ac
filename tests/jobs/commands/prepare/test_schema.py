"""The printed schemas are what the readers hold files to."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import jsonschema
import pytest

from jobs.cli import main
from jobs.training.load_recipe import load_recipe
from jobs.training.recipe import recipe_json
from pipeline.curation.rules.presets import POLICIES


def schema(file: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert main(["schema", file]) == 0
    made: dict[str, Any] = json.loads(capsys.readouterr().out)
    jsonschema.Draft202012Validator.check_schema(made)
    return made


def test_every_preset_fits_the_schema_of_a_policy(capsys):
    made = schema("policy", capsys)
    for policy in POLICIES.values():
        jsonschema.validate(json.loads(json.dumps(asdict(policy()))), made)
    jsonschema.validate({"base": "grit", "name": "mine"}, made)


@pytest.mark.parametrize(
    "policy",
    [
        {},
        {"name": "a", "score_threshold": 2},
        {"name": "a", "threshold": 0.5},
        {"name": "a", "base": "best"},
        {"name": "a", "drop_lists": ["rude"]},
    ],
)
def test_what_the_reader_refuses_the_schema_refuses(capsys, policy):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(policy, schema("policy", capsys))


def test_recipes_fit_and_may_leave_out_what_the_preset_has(capsys):
    made = schema("recipe", capsys)
    for preset in ("glip-nano", "glip-t", "glip-l"):
        jsonschema.validate(recipe_json(load_recipe(None, preset)), made)
    jsonschema.validate({"train": {"optimizer": {"rate": 0.5}}}, made)
    with pytest.raises(jsonschema.ValidationError, match="stepz"):
        jsonschema.validate({"train": {"stepz": 3}}, made)


def test_fields_carry_their_texts(capsys):
    assert schema("policy", capsys)["properties"]["nms_iou"]["description"].startswith("Among box")
    parts = schema("recipe", capsys)["$defs"]
    assert "over all workers" in parts["TrainOptions"]["properties"]["batch_size"]["description"]
