"""Records as FiftyOne documents."""

from __future__ import annotations

from dataclasses import replace

from bson import ObjectId

from pipeline.review.sync.label.documents import (
    drawn_box_id,
    label_object_id,
    relative_box,
    sample_object_id,
)
from schemas.records import CORPUS_CAPTION, MADE_CAPTION, Status, Verdict
from tests.pipeline.review.builders import decide, labels, make_row, pushed


def test_ids_depend_on_ours_alone_and_differ_between_samples_and_boxes() -> None:
    assert sample_object_id("toy/0") == sample_object_id("toy/0")
    assert sample_object_id("toy/0") != label_object_id("toy/0")
    assert label_object_id("toy/0#0") != label_object_id("toy/0#1")


def test_a_drawn_box_keeps_its_label_id_through_a_rebuild() -> None:
    label_id = ObjectId("0123456789abcdef01234567")
    box_id = drawn_box_id("日本/犬#0", label_id)
    assert label_object_id(box_id) == label_id


def test_a_record_that_looks_like_a_drawn_box_is_hashed() -> None:
    assert label_object_id("x#drawn-123#0") != label_object_id("x#drawn-123#1")


def test_boxes_are_relative_and_labels_are_phrases() -> None:
    document, _ = pushed(make_row())
    first, second, third = labels(document)
    assert first["bounding_box"] == relative_box((1.0, 2.0, 30.0, 40.0), (64, 48))
    assert third["bounding_box"] == [0.0, 0.0, 1.0, 1.0]
    assert [label["label"] for label in (first, second, third)] == ["a dog", "a dog", "a café"]
    assert [label["review"] for label in (first, second, third)] == ["pending"] * 3
    assert document["pushed_box_ids"] == ["toy/0#0", "toy/0#1", "toy/0#2"]


def test_a_pair_without_boxes_has_an_empty_list() -> None:
    document, _ = pushed(make_row(boxes=(), status=Status.NO_BOXES))
    assert labels(document) == []
    assert document["status"] == "no_boxes"


def test_a_made_caption_is_marked() -> None:
    for origin in (MADE_CAPTION, CORPUS_CAPTION):
        document, _ = pushed(replace(make_row(), caption_origin=origin))
        assert document["caption_origin"] == origin


def test_decisions_are_shown() -> None:
    document, _ = pushed(
        make_row(),
        decide("toy/0#0", Verdict.DROP, 1),
        decide("toy/0#1", Verdict.EDIT, 2, xyxy=(0.0, 0.0, 32.0, 24.0), phrase_index=1),
        decide("new", Verdict.ADD, 3, xyxy=(0.0, 0.0, 16.0, 12.0), phrase_index=0),
    )
    dropped, edited, untouched, added = labels(document)
    assert (dropped["review"], edited["review"], untouched["review"]) == (
        "rejected",
        "fixed",
        "pending",
    )
    assert edited["bounding_box"] == [0.0, 0.0, 0.5, 0.5]
    assert (edited["label"], edited["phrase_index"]) == ("a café", 1)
    assert (added["origin"], added["review"]) == ("human", "accepted")
    assert "confidence" not in added
    assert [label["decision_id"] for label in labels(document)] == ["d1", "d2", "", "d3"]
