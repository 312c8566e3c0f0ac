"""What stands for a box after its decisions."""

from __future__ import annotations

import pytest

from pipeline.curation.box_state import (
    PairReview,
    Review,
    box_histories,
    pair_history,
    resolve_record,
)
from schemas.errors import DataError
from schemas.records import Decision, Verdict
from tests.pipeline.curation.test_decisions import decided
from tests.pipeline.review.builders import decide, make_row
from tests.schemas.builders import make_annotation

DRAWN = {"xyxy": (0.0, 0.0, 5.0, 5.0), "phrase_index": 1}


def test_the_latest_decision_wins_whatever_the_order_of_the_rows() -> None:
    rows = [decide("toy/0#0", Verdict.KEEP, 2), decide("toy/0#0", Verdict.DROP, 1)]
    assert box_histories(make_row(), rows)["toy/0#0"].current().review == Review.ACCEPTED


def test_an_earlier_state_can_be_asked_for() -> None:
    rows = [decide("toy/0#0", Verdict.DROP, 1), decide("toy/0#0", Verdict.KEEP, 2)]
    history = box_histories(make_row(), rows)["toy/0#0"]
    reviews = [history.as_of(i).review for i in ("", "d1", "d2")]  # type: ignore[union-attr]
    assert reviews == [Review.PENDING, Review.REJECTED, Review.ACCEPTED]
    assert history.as_of("gone") is None


def test_a_keep_after_an_edit_is_the_teachers_box_again() -> None:
    rows = [
        decide("toy/0#0", Verdict.EDIT, 1, xyxy=(0.0, 0.0, 5.0, 5.0)),
        decide("toy/0#0", Verdict.KEEP, 2),
    ]
    assert box_histories(make_row(), rows)["toy/0#0"].current().xyxy == (1.0, 2.0, 30.0, 40.0)


def test_a_dropped_drawn_box_keeps_its_place() -> None:
    rows = [decide("new", Verdict.ADD, 1, **DRAWN), decide("new", Verdict.DROP, 2)]
    history = box_histories(make_row(), rows)["new"]
    assert history.current().review == Review.REJECTED
    assert history.current().xyxy == DRAWN["xyxy"]
    assert history.as_of("") is None


def test_a_decision_about_an_unknown_box_is_refused() -> None:
    with pytest.raises(
        DataError, match=r"'d1' about 'toy/0': box_id 'toy/0#9' is neither a candidate"
    ):
        box_histories(make_row(), [decide("toy/0#9", Verdict.DROP, 1)])


def test_a_decision_about_an_unknown_phrase_is_refused() -> None:
    row = decide("toy/0#0", Verdict.EDIT, 1, phrase_index=2)
    with pytest.raises(DataError, match=r"'d1' about 'toy/0': phrase_index 2 is not one of the 2"):
        box_histories(make_row(), [row])


def test_a_word_taken_back_leaves_the_box_to_the_rules() -> None:
    rows = [decide("toy/0#0", Verdict.DROP, 1), decide("toy/0#0", Verdict.OPEN, 2)]
    assert box_histories(make_row(), rows)["toy/0#0"].current().review == Review.PENDING
    assert resolve_record(make_row(), rows).by_box == {}


def test_the_latest_word_about_a_pair_wins_and_says_nothing_about_its_boxes() -> None:
    rows = [
        decide("", Verdict.BAD, 2, reason="upside down"),
        decide("", Verdict.DONE, 1),
        decide("toy/0#0", Verdict.KEEP, 3),
    ]
    history = pair_history(rows)
    assert history.current().review == PairReview.BAD
    assert (history.current().reason, history.current().reviewer) == ("upside down", "ann")
    assert history.as_of("d1").review == PairReview.DONE
    assert history.as_of("gone").review == PairReview.OPEN
    resolved = resolve_record(make_row(), rows)
    assert (resolved.pair.review, list(resolved.by_box)) == (PairReview.BAD, ["toy/0#0"])


def test_an_added_box_stays_added_when_it_is_edited_or_confirmed() -> None:
    new = {"box_id": "toy/0#new"}
    add = decided(1, Verdict.ADD, xyxy=(1.0, 1.0, 5.0, 5.0), phrase_index=1, **new)
    move = decided(2, Verdict.EDIT, xyxy=(2.0, 2.0, 6.0, 6.0), **new)
    keep = decided(3, Verdict.KEEP, **new)
    (moved,) = resolve_record(make_annotation(), [add, move]).added
    assert (moved.verdict, moved.xyxy, moved.phrase_index) == (Verdict.ADD, (2, 2, 6, 6), 1)
    (kept,) = resolve_record(make_annotation(), [add, keep]).added
    assert (kept.verdict, kept.xyxy) == (Verdict.ADD, (1, 1, 5, 5))
    drop = decided(4, Verdict.DROP, **new)
    resolved = resolve_record(make_annotation(), [add, drop])
    assert (resolved.by_box, resolved.added) == ({}, ())


@pytest.mark.parametrize(
    "decision, message",
    [
        (
            decided(1, Verdict.KEEP, box_id="toy/0#7"),
            r"decision 'd1' about 'toy/0': box_id 'toy/0#7' is neither a candidate",
        ),
        (
            decided(1, Verdict.ADD, xyxy=(0.0, 0.0, 1.0, 1.0), phrase_index=0),
            r"add needs a new box_id, got 'toy/0#0'",
        ),
        (
            decided(1, Verdict.EDIT, phrase_index=2),
            r"phrase_index 2 is not one of the 2 phrases",
        ),
    ],
)
def test_what_does_not_exist_is_named(decision: Decision, message: str) -> None:
    with pytest.raises(DataError, match=message):
        resolve_record(make_annotation(), [decision])
