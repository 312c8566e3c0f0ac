"""What stands beside labels: suspicion, audits, what shows by default."""

from __future__ import annotations

from pipeline.curation.box_state import BoxHistory, box_histories
from pipeline.review.sync.label.notes import (
    NO_NOTES,
    Notes,
    Suspicion,
    box_notes,
    least_margin,
    most_overlap,
    pair_notes,
)
from schemas.records import Decision, Verdict
from tests.pipeline.review.builders import decide, make_row
from tests.schemas.builders import make_box

SUSPECT = Suspicion(score=0.7, reasons=("larger than such things are", "another phrase fits"))


def standing(*decisions: Decision) -> list[BoxHistory]:
    return list(box_histories(make_row(), decisions).values())


def test_what_the_policy_does_not_keep_stands_below_one_by_its_score() -> None:
    kept = frozenset({"toy/0#0"})
    levels = [box_notes(one.current(), NO_NOTES, kept)["level"] for one in standing()]
    assert levels == [1.0, 0.25, 0.125]


def test_what_people_judged_or_drew_shows_always() -> None:
    drawn = decide("new", Verdict.ADD, 2, xyxy=(0.0, 0.0, 16.0, 12.0), phrase_index=0)
    boxes = standing(decide("toy/0#1", Verdict.DROP, 1), drawn)
    levels = [box_notes(one.current(), NO_NOTES, frozenset())["level"] for one in boxes]
    assert levels[1:] == [1.0, 0.125, 1.0]
    assert levels[0] < 1.0


def test_without_a_policy_every_box_shows() -> None:
    assert {box_notes(one.current(), NO_NOTES, None)["level"] for one in standing()} == {1.0}


def test_suspicion_and_audit_stand_on_the_box_and_on_its_pair() -> None:
    notes = Notes(suspects={"toy/0#1": SUSPECT}, audited=frozenset({"toy/0#2"}))
    boxes = [one.current() for one in standing()]
    first, second, third = (box_notes(box, notes, None) for box in boxes)
    assert (first["queue_score"], first["queue_reasons"], first["audit"]) == (None, [], False)
    assert (second["queue_score"], second["queue_reasons"]) == (0.7, list(SUSPECT.reasons))
    assert third["audit"]
    pair = pair_notes(make_row(), boxes, notes)
    assert (pair["queue_score"], pair["queue_reasons"]) == (0.7, list(SUSPECT.reasons))
    assert (pair["audit"], pair["lowest_score"]) == (True, 0.125)


def test_the_signs_of_a_pair_are_of_the_boxes_that_show() -> None:
    boxes = [one.current() for one in standing()]
    again = {"toy/0#0": 0.9, "toy/0#1": 0.7, "toy/0#2": 0.1}
    kept = frozenset({"toy/0#0", "toy/0#1"})
    of_boxes = {box.box_id: box_notes(box, NO_NOTES, kept, again[box.box_id]) for box in boxes}
    assert of_boxes["toy/0#2"]["stability"] == 0.1
    pair = pair_notes(make_row(), boxes, NO_NOTES, (), of_boxes)
    assert (pair["stability"], pair["lowest_score"]) == (0.7, 0.25)
    everything = pair_notes(make_row(), boxes, NO_NOTES)
    assert (everything["stability"], everything["lowest_score"]) == (None, 0.125)
    # The candidate that was left out may be the rival all the same.
    assert pair["margin"] == everything["margin"]


def test_a_phrase_with_too_few_boxes_is_told_of_the_pair() -> None:
    notes = Notes(missing={"toy/0": Suspicion(score=0.9, reasons=("names 2, 1 has a box",))})
    pair = pair_notes(make_row(), [], notes)
    assert (pair["queue_score"], pair["queue_reasons"]) == (0.9, ["names 2, 1 has a box"])
    assert (pair["lowest_score"], pair["margin"], pair["overlap"]) == (None, None, 0.0)


def test_reviewers_who_differ_are_counted() -> None:
    words = [
        decide("toy/0#0", Verdict.KEEP, 1, reviewer="ann"),
        decide("toy/0#0", Verdict.DROP, 2, reviewer="bob"),
        decide("toy/0#1", Verdict.DROP, 3, reviewer="bob"),
    ]
    assert pair_notes(make_row(), [], NO_NOTES, words)["disagreement"] == 1


def test_overlap_counts_boxes_of_two_phrases_only() -> None:
    same = (1.0, 2.0, 30.0, 40.0)
    row = make_row(boxes=tuple(make_box(box_id=f"toy/0#{n}", xyxy=same) for n in range(2)))
    assert most_overlap([one.current() for one in box_histories(row, ()).values()]) == 0.0
    other = make_box(box_id="toy/0#2", xyxy=same, phrase_index=1)
    row = make_row(boxes=(*row.boxes, other))
    assert most_overlap([one.current() for one in box_histories(row, ()).values()]) == 1.0


def test_the_margin_is_between_the_last_box_that_is_named_and_the_next() -> None:
    boxes = tuple(
        make_box(box_id=f"toy/0#{n}", score=score) for n, score in enumerate((0.5, 0.75, 0.25))
    )
    row = make_row(boxes=boxes)
    shown = [one.current() for one in box_histories(row, ()).values()]
    assert least_margin(row, shown, {0}) == 0.25
    assert least_margin(row, shown[:1], {0}) is None
    assert least_margin(row, shown, {1}) is None  # of the first phrase no box shows
