from __future__ import annotations

import json

import pytest

from jobs.training.load_recipe import load_recipe, set_field
from jobs.training.recipe import (
    Recipe,
    SourceSpec,
    recipe_identity,
    recipe_json,
    source_labels,
)
from schemas.checked import from_object
from schemas.errors import ConfigError


def load(*assignments: str, preset: str | None = "glip-nano", path=None) -> Recipe:
    return load_recipe(path, preset, assignments)


def test_the_official_presets_have_the_numbers_of_the_reference():
    t, large = load(preset="glip-t"), load(preset="glip-l")
    assert (t.train.optimizer.rate, t.train.optimizer.weight_decay) == (1e-4, 1e-4)
    assert large.train.optimizer.weight_decay == 0.01
    assert t.train.schedule.milestones == (0.67, 0.89)
    assert t.mixture.detection.max_negatives == 85
    assert t.mixture.packing.none_share == 0.4
    assert t.mixture.augment.short_sides == (480, 560, 640, 720, 800)
    assert (t.train.batch_size, t.train.ema_decay, t.train.optimizer.clip_norm) == (64, 0.999, 1.0)


def test_a_recipe_comes_back_from_its_json(tmp_path):
    recipe = load('sources=[{"gold": "a.json", "weight": 2}]', "train.seed=7")
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps(recipe_json(recipe)))
    assert load(preset=None, path=path) == recipe


def test_a_file_goes_over_the_preset_and_assignments_over_both(tmp_path):
    path = tmp_path / "r.json"
    path.write_text('{"preset": "glip-nano", "train": {"steps": 5, "optimizer": {"rate": 0.5}}}')
    recipe = load("train.steps=9", preset=None, path=path)
    assert (recipe.train.steps, recipe.train.optimizer.rate) == (9, 0.5)
    assert recipe.train.optimizer.weight_decay == 0.05


def test_assignments_append_to_lists_and_take_bare_words():
    recipe = load('sources+={"gold": "a"}', 'sources+={"curated": "RUN"}', "warm_start=some/dir")
    assert [source.label for source in recipe.sources] == ["a", "RUN"]
    assert recipe.warm_start == "some/dir"


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("train.stepz=3", r"recipe\.train\.stepz is unknown; allowed: accumulate"),
        ("train.steps=x", r"recipe\.train\.steps must be a whole number >= 1, got 'x'"),
        ("train.steps=true", r"recipe\.train\.steps must be a whole number >= 1, got True"),
        ("train.steps=0", r"train\.steps must be a whole number >= 1, got 0"),
        ("mixture.augment.side_words=up", "must be one of 'keep', 'swap', 'ignore', got 'up'"),
        ("train.schedule.milestones=[2]", r"milestones must rise and lie in \(0, 1\]"),
        ("train.optimizer.betas=[0.9]", r"betas must have 2 entries, got 1"),
        ("sources=3", r"recipe\.sources must be a list, got 3"),
        ("sources=[{}]", "needs either gold or curated, got gold=None and curated=None"),
        ("evaluation_images=0", "evaluation_images must be a whole number >= 1, got 0"),
        ("cache_side=-1", "cache_side must be a whole number >= 0, got -1"),
        ("train.seed=-1", r"train\.seed must be a whole number >= 0, got -1"),
        ("train.explode_factor=-1", r"train\.explode_factor must be a number >= 0, got -1"),
        ("train.optimizer.betas=[1.0, 0.9]", r"optimizer\.betas must be in \[0, 1\), got"),
        ("train.optimizer.betas=[0.9, -0.1]", r"optimizer\.betas must be in \[0, 1\), got"),
        (
            'train.optimizer.rules=[{"pattern": "*", "rate": -1}]',
            "rate must be a number >= 0",
        ),
        (
            'train.optimizer.rules=[{"pattern": "*", "decay": -1}]',
            "decay must be a number >= 0",
        ),
        ("mixture.augment.short_sides=[480, 0]", "short_sides must be a whole number >= 1, got 0"),
        ("nothing", "--set needs NAME=VALUE, got 'nothing'"),
        ("preset.x=1", "'preset' has no fields"),
    ],
)
def test_mistakes_name_the_field_and_what_is_allowed(assignment, message):
    with pytest.raises(ConfigError, match=message):
        load(assignment)


def test_a_field_that_is_set_twice_is_refused():
    both = r"--set train\.seed was given twice, as 'train\.seed=1' and 'train\.seed=2'"
    with pytest.raises(ConfigError, match=both):
        load("train.seed=1", "train.steps=3", "train.seed=2")


def test_a_missing_preset_file_and_object_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="name a network with --preset"):
        load(preset=None)
    with pytest.raises(ConfigError, match=r"r\.json does not exist"):
        load(path=tmp_path / "r.json")
    (tmp_path / "r.json").write_text("{")
    with pytest.raises(ConfigError, match=r"r\.json is not JSON"):
        load(path=tmp_path / "r.json")
    (tmp_path / "r.json").write_text("[]")
    with pytest.raises(ConfigError, match="must hold a JSON object"):
        load(path=tmp_path / "r.json")


def test_the_identity_leaves_out_what_does_not_decide_the_weights():
    one, two = load(), load("train.log_every=7", "train.keep.last=9", "train.checkpoint_every=3")
    assert recipe_identity(recipe_json(one)) == recipe_identity(recipe_json(two))
    other = recipe_identity(recipe_json(load("train.seed=1")))
    assert recipe_identity(recipe_json(one)) != other


def test_a_missing_field_is_named():
    with pytest.raises(ConfigError, match=r"recipe\.train is missing"):
        from_object(Recipe, {"preset": "glip-t"}, where="recipe.")


def test_fields_are_made_on_the_way():
    raw: dict = {}
    set_field(raw, "a.b.c=[1, 2]")
    set_field(raw, "a.b.c+=3")
    assert raw == {"a": {"b": {"c": [1, 2, 3]}}}


def test_a_source_is_named_after_its_path():
    assert SourceSpec(gold="data/flickr.json").label == "flickr.json"
    assert SourceSpec(curated="runs/web", name="pseudo").label == "pseudo"


def test_sources_keep_their_files_names_where_those_differ():
    specs = (SourceSpec(gold="x/a.json"), SourceSpec(gold="x/b.json", name="b"))
    assert source_labels(specs, "sources") == ("a.json", "b")


@pytest.mark.parametrize(
    ("paths", "labels"),
    [
        (("A/x.json", "B/x.json", "y.json"), ("A/x.json", "B/x.json", "y.json")),
        (("A/t/x.json", "B/t/x.json"), ("A/t/x.json", "B/t/x.json")),
        (("A/t/x.json", "B/t/x.json", "B/u/x.json"), ("A/t/x.json", "B/t/x.json", "u/x.json")),
        (("/x.json", "/a/x.json"), ("/x.json", "a/x.json")),
    ],
)
def test_as_much_of_the_path_as_tells_two_apart(paths, labels):
    assert source_labels([SourceSpec(gold=path) for path in paths], "sources") == labels


def test_two_policies_of_one_run_are_two_sources():
    specs = [SourceSpec(curated="RUN", policy=policy) for policy in ("strict", "loose")]
    assert source_labels(specs, "sources") == ("RUN:strict", "RUN:loose")


@pytest.mark.parametrize(
    "specs",
    [
        [{"gold": "a.json"}, {"gold": "a.json"}],
        [{"gold": "a.json"}, {"gold": "./a.json"}],
        [{"curated": "RUN"}, {"curated": "RUN"}],
        [{"gold": "a.json", "name": "same"}, {"gold": "b.json", "name": "same"}],
    ],
)
@pytest.mark.parametrize("field", ["sources", "evaluation"])
def test_one_name_for_two_sources_is_refused(field, specs):
    with pytest.raises(ConfigError, match=f"{field}: two sources have the name .*give each"):
        load(f"{field}={json.dumps(specs)}")
