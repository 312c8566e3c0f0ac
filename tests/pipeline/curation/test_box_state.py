"""What stands for a box after its decisions."""

from __future__ import annotations

import pytest

from pipeline.curation.box_state import Review, box_histories
from schemas.errors import DataError
from schemas.records import Verdict
from tests.pipeline.review.builders import decide, make_row

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
    with pytest.raises(DataError, match=r"decision 'd1' is about the box 'toy/0#9', which neither"):
        box_histories(make_row(), [decide("toy/0#9", Verdict.DROP, 1)])


def test_a_decision_about_an_unknown_phrase_is_refused() -> None:
    row = decide("toy/0#0", Verdict.EDIT, 1, phrase_index=2)
    with pytest.raises(DataError, match=r"'d1' gives phrase_index 2; 'toy/0' has 2 phrases"):
        box_histories(make_row(), [row])
