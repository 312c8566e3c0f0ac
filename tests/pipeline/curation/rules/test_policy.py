from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.curation.rules.policy import FilterPolicy
from pipeline.curation.rules.presets import POLICIES, get_policy, policy_from_json
from schemas.errors import ConfigError


@pytest.mark.parametrize(
    "field, value, message",
    [
        ("name", "", r"name must be letters, digits, '-' and '_', got ''"),
        ("name", "a/b", r"name must be letters"),
        ("score_threshold", -0.1, r"score_threshold must be in \[0, 1\], got -0.1"),
        ("score_threshold", float("nan"), r"score_threshold must be in \[0, 1\], got nan"),
        ("score_threshold", "0.5", r"score_threshold must be in \[0, 1\], got '0.5'"),
        ("score_threshold", True, r"score_threshold must be in \[0, 1\], got True"),
        ("score_ceiling", 0.0, r"score_ceiling must be greater than score_threshold 0.0, got 0.0"),
        ("nms_iou", 1.5, r"nms_iou must be in \[0, 1\], got 1.5"),
        ("min_side_px", -1, r"min_side_px must be a number >= 0, got -1"),
        ("min_side_px", float("inf"), r"min_side_px must be a number >= 0, got inf"),
        ("max_boxes_per_phrase", 0, r"max_boxes_per_phrase must be a whole number >= 1, got 0"),
        ("max_boxes_per_image", 2.5, r"max_boxes_per_image must be a whole number >= 1, got 2.5"),
        ("min_boxes", None, r"min_boxes must be a whole number >= 0, got None"),
        ("cross_phrase", "delete", r"cross_phrase must be one of 'keep', 'merge', 'suppress'"),
        (
            "region_scores",
            "blip",
            r"region_scores must be one of '', 'clip', 'clip.cosine'",
        ),
        ("min_image_score", 0.3, r"min_image_score 0.3 needs region_scores to be 'clip'"),
        ("drop_lists", ("rude",), r"drop_lists must be one of 'grit-abstract'.*got 'rude'"),
        ("drop_lists", "pronouns", r"drop_lists must be a list of strings, got 'pronouns'"),
        ("drop_words", ("Dog",), r"drop_words must be words in lower case, got 'Dog'"),
        ("drop_words", ("Éclair",), r"drop_words must be words in lower case, got 'Éclair'"),
        ("drop_words", ("",), r"drop_words must be words in lower case, got ''"),
        ("name", "--", r"name must be letters, digits, '-' and '_', got '--'"),
        ("drop_nonwords", 1, r"drop_nonwords must be true or false, got 1"),
    ],
)
def test_a_bad_field_is_explained(field: str, value: Any, message: str) -> None:
    fields: dict[str, Any] = {"name": "mine"} | {field: value}
    with pytest.raises(ConfigError, match=message):
        FilterPolicy(**fields)


def test_every_preset_passes_its_own_validation_and_has_its_own_id() -> None:
    ids = {get_policy(name).policy_id for name in POLICIES}
    assert len(ids) == len(POLICIES)
    assert all(get_policy(name).name == name for name in POLICIES)


def test_the_id_changes_with_any_rule_and_not_with_the_order_of_words() -> None:
    base = FilterPolicy(name="mine", drop_words=("sky", "sea"))
    assert base.policy_id == FilterPolicy(name="mine", drop_words=("sky", "sea")).policy_id
    assert base.policy_id != replace(base, score_threshold=0.25).policy_id
    assert base.policy_id != replace(base, drop_words=("sky",)).policy_id
    assert base.policy_id.startswith("mine@")


def test_unknown_preset_names_the_allowed_ones() -> None:
    with pytest.raises(ConfigError, match=r"policy must be one of default, glip, .*got 'clip'"):
        get_policy("clip")


def test_a_json_file_starts_from_a_preset(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"base": "grit", "name": "mine", "score_threshold": 0.4}))
    policy = get_policy(str(path))
    assert policy.score_threshold == 0.4
    assert policy.cross_phrase == "suppress"
    assert policy.drop_lists == ("grit-abstract",)


@pytest.mark.parametrize(
    "text, message",
    [
        ("{", "p.json is not JSON"),
        ("[]", "p.json must hold a JSON object, got list"),
        ("{}", "p.json: name is missing"),
        (
            '{"name": "a", "threshold": 1}',
            "p.json: threshold is unknown; allowed: base, class_thresholds, contained_other",
        ),
        ('{"name": "a", "base": "best"}', "p.json: base must be one of default, .*got 'best'"),
        (
            '{"name": "a", "class_thresholds": {"dog": 1.5}}',
            r"p.json: class_thresholds.dog must be in \[0, 1\], got 1.5",
        ),
        (
            '{"name": "a", "phrase_thresholds": {"A Dog": 0.5}}',
            r"p.json: phrase_thresholds: words must be in lower case, got 'A Dog'",
        ),
        ('{"name": "a", "nms_iou": 2}', r"p.json: nms_iou must be in \[0, 1\], got 2"),
    ],
)
def test_a_bad_file_is_explained(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        policy_from_json(text, where="p.json")


def test_a_missing_file_is_explained() -> None:
    with pytest.raises(ConfigError, match=r"policy file 'nowhere.json' cannot be read"):
        get_policy("nowhere.json")


def test_rules_that_came_later_and_are_off_leave_the_id_as_it_was() -> None:
    plain = FilterPolicy(name="p", score_threshold=0.5)
    assert (
        plain.policy_id
        == FilterPolicy(
            name="p",
            score_threshold=0.5,
            negative_below=0.1,
            class_thresholds={},
            contained_same=None,
        ).policy_id
    )
    for changes in (
        {"negative_below": 0.2},
        {"negative_below": 0.0},
        {"class_thresholds": {"dog": 0.4}},
        {"contained_other": 0.0},
        {"min_precision": 0.9},
    ):
        assert FilterPolicy(name="p", score_threshold=0.5, **changes).policy_id != plain.policy_id
