"""Pushing again over human work."""

from __future__ import annotations

import copy

from pipeline.curation.box_state import Standing, box_histories
from pipeline.review.sync.push.merge import has_human_work, merge_boxes
from schemas.records import Annotation, Decision, Verdict
from tests.pipeline.review.builders import decide, drawn_label, labels, make_row, pushed


def shown(row: Annotation, *decisions: Decision, only: set[str] | None = None) -> list[Standing]:
    histories = box_histories(row, decisions)
    return [h.current() for h in histories.values() if only is None or h.box_id in only]


def test_the_same_push_again_changes_nothing() -> None:
    row = make_row()
    document, histories = pushed(row)
    merged = merge_boxes(document, row, histories, shown(row))
    assert merged.detections == labels(document)
    assert merged.pushed_box_ids == document["pushed_box_ids"]
    assert merged.kept == 0


def test_labels_that_people_changed_stay_as_they_are() -> None:
    row = make_row()
    document, _ = pushed(row)
    labels(document)[0]["review"] = "accepted"
    labels(document)[1]["bounding_box"] = [0.1, 0.1, 0.2, 0.2]
    labels(document)[2]["label"] = "nonsense"
    labels(document).append(drawn_label())
    before = copy.deepcopy(labels(document))
    decisions = [decide(f"toy/0#{i}", Verdict.DROP, i) for i in range(3)]
    merged = merge_boxes(document, row, box_histories(row, decisions), shown(row, *decisions))
    assert merged.detections == before
    assert merged.kept == 4


def test_untouched_labels_follow_new_decisions() -> None:
    row = make_row()
    document, _ = pushed(row)
    drop = decide("toy/0#0", Verdict.DROP, 1)
    merged = merge_boxes(document, row, box_histories(row, [drop]), shown(row, drop))
    assert [d["review"] for d in merged.detections] == ["rejected", "pending", "pending"]


def test_labels_that_the_selection_leaves_out_go_unless_they_carry_work_or_tags() -> None:
    row = make_row()
    document, histories = pushed(row)
    labels(document)[1]["tags"] = ["look again"]
    labels(document)[2]["review"] = "accepted"
    merged = merge_boxes(document, row, histories, [])
    assert [d["box_id"] for d in merged.detections] == ["toy/0#1", "toy/0#2"]
    assert merged.pushed_box_ids == ["toy/0#1", "toy/0#2"]


def test_a_box_that_people_deleted_does_not_come_back_before_a_pull() -> None:
    row = make_row()
    document, histories = pushed(row)
    del labels(document)[1]
    merged = merge_boxes(document, row, histories, shown(row))
    assert [d["box_id"] for d in merged.detections] == ["toy/0#0", "toy/0#2"]
    assert "toy/0#1" in merged.pushed_box_ids


def test_tags_and_foreign_attributes_of_untouched_labels_stay() -> None:
    row = make_row()
    document, histories = pushed(row)
    labels(document)[0] |= {"tags": ["nice"], "max_iou": 0.9}
    merged = merge_boxes(document, row, histories, shown(row))
    assert (merged.detections[0]["tags"], merged.detections[0]["max_iou"]) == (["nice"], 0.9)


def test_a_wider_selection_adds_boxes() -> None:
    row = make_row()
    document, histories = pushed(row)
    document["pushed_box_ids"] = ["toy/0#0"]
    del labels(document)[1:]
    merged = merge_boxes(document, row, histories, shown(row))
    assert [d["box_id"] for d in merged.detections] == ["toy/0#0", "toy/0#1", "toy/0#2"]


def test_broken_labels_are_left_for_the_pull_to_report() -> None:
    row = make_row()
    document, histories = pushed(row)
    labels(document).insert(0, {"label": "no id"})
    merged = merge_boxes(document, row, histories, shown(row))
    assert merged.detections[0] == {"label": "no id"}


def test_human_work_is_seen() -> None:
    row = make_row()
    document, histories = pushed(row)
    assert not has_human_work(document, row, histories)
    assert has_human_work(document | {"tags": ["x"]}, row, histories)
    labels(document).append(drawn_label(review="pending"))
    assert has_human_work(document, row, histories)
