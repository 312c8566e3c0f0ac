"""What a push shows."""

from __future__ import annotations

import pytest

from pipeline.curation.rules.policy import FilterPolicy
from pipeline.review.sync.push.selection import Selection
from schemas.errors import ConfigError
from schemas.records import Status
from tests.pipeline.review.builders import make_row


def test_all_candidates_by_default_and_none_of_a_failure() -> None:
    assert Selection().shown_box_ids(make_row()) == {"toy/0#0", "toy/0#1", "toy/0#2"}
    failed = make_row(status=Status.IMAGE_CORRUPT, boxes=())
    assert Selection().shown_box_ids(failed) is None


def test_a_pair_without_boxes_is_shown_unless_a_policy_leaves_it_out() -> None:
    row = make_row(status=Status.NO_BOXES, boxes=())
    assert Selection().shown_box_ids(row) == frozenset()
    policy = FilterPolicy(name="p", min_boxes=1)
    assert Selection(policy=policy).shown_box_ids(row) is None


def test_min_score_is_inclusive() -> None:
    assert Selection(min_score=0.25).shown_box_ids(make_row()) == {"toy/0#0", "toy/0#1"}


def test_a_policy_chooses_and_the_floor_holds_too() -> None:
    policy = FilterPolicy(name="p", score_threshold=0.2, nms_iou=0.2)
    assert Selection(policy=policy).shown_box_ids(make_row()) == {"toy/0#0"}
    loose = FilterPolicy(name="p")
    assert Selection(policy=loose, min_score=0.5).shown_box_ids(make_row()) == {"toy/0#0"}


def test_merged_boxes_are_shown_too() -> None:
    policy = FilterPolicy(name="p", cross_phrase="merge", cross_phrase_iou=0.0)
    assert len(Selection(policy=policy).shown_box_ids(make_row()) or ()) == 3


@pytest.mark.parametrize("score", [-0.1, 1.5, float("nan")])
def test_a_floor_is_a_share(score: float) -> None:
    with pytest.raises(ConfigError, match=r"min_score must be in \[0, 1\], got"):
        Selection(min_score=score)
