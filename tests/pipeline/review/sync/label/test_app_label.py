"""Understanding what people did to a label."""

from __future__ import annotations

import math
from typing import Any

import pytest

from pipeline.curation.box_state import Review, box_histories
from pipeline.review.sync.label.app_label import ConflictKind, NotUnderstood, Observed, observe
from schemas.records import Annotation
from tests.pipeline.review.builders import drawn_label, labels, make_row, make_twins, pushed


def look(row: Annotation | None = None, **changes: Any) -> Observed:
    """Observe the first label of a fresh sample after some changes."""
    row = row or make_row()
    document, histories = pushed(row)
    label = labels(document)[0] | changes
    return observe(label, row, histories["toy/0#0"].current())


def trouble(row: Annotation | None = None, **changes: Any) -> tuple[ConflictKind, str]:
    with pytest.raises(NotUnderstood) as caught:
        look(row, **changes)
    return caught.value.kind, caught.value.detail


def test_an_untouched_label_is_exactly_what_was_pushed() -> None:
    row = make_row(width=1237, height=853)
    document, histories = pushed(row)
    for label, history in zip(labels(document), histories.values(), strict=True):
        assert observe(label, row, history.current()).same_as(history.current())


def test_the_last_bit_of_a_coordinate_is_no_change() -> None:
    row = make_row(width=1237, height=853)
    document, histories = pushed(row)
    label = labels(document)[0]
    label["bounding_box"] = [math.nextafter(v, 2) for v in label["bounding_box"]]
    assert observe(label, row, histories["toy/0#0"].current()).xyxy == (1.0, 2.0, 30.0, 40.0)


def test_a_dragged_corner_leaves_the_other_corner_exact() -> None:
    row = make_row(width=1237, height=853)
    document, histories = pushed(row)
    x, y, w, h = labels(document)[0]["bounding_box"]
    label = labels(document)[0] | {"bounding_box": [x, y, w + 0.1, h]}
    seen = observe(label, row, histories["toy/0#0"].current())
    assert (seen.xyxy[0], seen.xyxy[1], seen.xyxy[3]) == (1.0, 2.0, 40.0)
    assert seen.xyxy[2] == pytest.approx(30 + 123.7, abs=1e-4)


def test_a_box_over_the_edge_is_clipped() -> None:
    assert look(bounding_box=[-0.5, -0.5, 2.0, 2.0]).xyxy == (0.0, 0.0, 64.0, 48.0)


NO_NUMBERS, NO_AREA = "four finite numbers", "no area inside the image of 64 x 48"


@pytest.mark.parametrize(
    ("box", "said"),
    [
        (None, NO_NUMBERS),
        ([0.0, 0.0, 1.0], NO_NUMBERS),
        ([0.0, 0.0, math.nan, 1.0], NO_NUMBERS),
        ([0.0, 0.0, math.inf, 1.0], NO_NUMBERS),
        (["0", 0.0, 1.0, 1.0], NO_NUMBERS),
        ([0.5, 0.5, 0.0, 0.5], NO_AREA),
        ([1.5, 0.5, 0.5, 0.5], NO_AREA),
    ],
)
def test_a_box_without_area_or_numbers_is_a_conflict(box: object, said: str) -> None:
    kind, detail = trouble(bounding_box=box)
    assert kind == ConflictKind.BAD_BOX
    assert said in detail


def test_a_label_that_is_another_phrase_moves_the_box_there() -> None:
    assert look(label="  A CAFÉ ").phrase_index == 1


def test_an_index_alone_moves_the_box_also_as_a_double() -> None:
    assert look(phrase_index=1).phrase_index == 1
    assert look(phrase_index=1.0).phrase_index == 1


def test_label_and_index_may_both_change_if_they_agree() -> None:
    assert look(label="a café", phrase_index=1).phrase_index == 1


def test_label_and_index_that_disagree_are_a_conflict() -> None:
    row = make_twins()
    kind, detail = trouble(row, label="a cat", phrase_index=1)
    assert kind == ConflictKind.LABEL_AND_PHRASE_DIFFER
    assert detail == "the label says 'a cat' and phrase_index 1 is 'a dog'"


def test_a_label_that_is_no_phrase_is_a_conflict_that_lists_the_phrases() -> None:
    kind, detail = trouble(label="犬")
    assert kind == ConflictKind.NO_SUCH_PHRASE
    assert detail == (
        "the label '犬' is not a phrase of this caption; its phrases: 'a dog', 'a café'"
    )


@pytest.mark.parametrize("index", [-1, 2, 99, 0.5, True, "1"])
def test_an_index_out_of_range_is_a_conflict(index: object) -> None:
    kind, detail = trouble(phrase_index=index)
    assert kind == ConflictKind.PHRASE_OUT_OF_RANGE
    assert repr(index) in detail


def test_an_emptied_label_or_index_says_nothing_new() -> None:
    assert look(label="", phrase_index=None).phrase_index == 0
    assert look(label=None).phrase_index == 0


def test_twins_keep_their_own_phrase() -> None:
    assert look(make_twins(), label="a dog").doubt == ""


def test_a_drawn_box_with_an_ambiguous_label_takes_the_first_and_says_so() -> None:
    seen = observe(drawn_label(label="a dog"), make_twins(), None)
    assert seen.phrase_index == 0
    assert seen.doubt.startswith("the label 'a dog' is the text of the phrases [0, 1]; phrase 0")


def test_a_drawn_box_is_accepted_unless_it_says_otherwise() -> None:
    label = drawn_label()
    del label["review"]
    seen = observe(label, make_row(), None)
    assert seen == Observed(review=Review.ACCEPTED, xyxy=(16.0, 12.0, 48.0, 36.0), phrase_index=1)


def test_a_drawn_box_without_a_label_is_a_conflict() -> None:
    with pytest.raises(NotUnderstood, match="the drawn box has no phrase yet"):
        observe(drawn_label(label=None), make_row(), None)


def test_a_pair_without_phrases_takes_no_box() -> None:
    with pytest.raises(NotUnderstood, match="its phrases: none"):
        observe(drawn_label(), make_row(phrases=(), boxes=()), None)


def test_the_tag_reject_wins_over_pending_but_not_over_a_word() -> None:
    assert look(tags=["reject", "nice"]).review == Review.REJECTED
    assert look(tags=["accept"]).review == Review.ACCEPTED
    assert look(tags=["reject"], review="accepted").review == Review.ACCEPTED


def test_two_tags_that_disagree_are_a_conflict() -> None:
    assert trouble(tags=["reject", "accept"])[0] == ConflictKind.TAGS_DIFFER


def test_an_unknown_review_is_a_conflict_that_lists_the_words() -> None:
    kind, detail = trouble(review="ok")
    assert kind == ConflictKind.BAD_REVIEW
    assert detail == "review must be one of pending, accepted, rejected, fixed, got 'ok'"


def test_histories_of_an_empty_pair_are_empty() -> None:
    assert box_histories(make_row(boxes=()), []) == {}
