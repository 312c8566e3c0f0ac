"""From a sample that people changed to decisions."""

from __future__ import annotations

from typing import Any

import pytest
from bson import ObjectId

from pipeline.review.sync.label.app_label import ConflictKind
from pipeline.review.sync.label.stamp import Stamp
from pipeline.review.sync.pull.changes import Change
from pipeline.review.sync.pull.reading import read_sample
from schemas.records import Decision, Verdict
from tests.pipeline.review.builders import (
    decide,
    drawn_label,
    labels,
    make_row,
    make_twins,
    pushed,
)

DRAWN_ID = "toy/0#drawn-" + "aa" * 12


def change(box_id: str, verdict: Verdict, **more: Any) -> Change:
    return Change(
        **({"box_id": box_id, "verdict": verdict, "xyxy": None, "phrase_index": None} | more)
    )


def test_a_fresh_sample_says_nothing() -> None:
    document, histories = pushed(make_row())
    reading = read_sample(document, make_row(), histories)
    assert (reading.changes, reading.conflicts, reading.settled) == ([], [], {})
    assert reading.undecided == 3


@pytest.mark.parametrize("boxes", [None, {"_cls": "Detections", "detections": None}])
def test_a_sample_without_a_label_list_had_every_box_deleted(boxes: object) -> None:
    document, histories = pushed(make_row())
    reading = read_sample(document | {"boxes": boxes}, make_row(), histories)
    assert [c.verdict for c in reading.changes] == [Verdict.DROP] * 3
    assert reading.deleted == ["toy/0#0", "toy/0#1", "toy/0#2"]


def test_each_verdict() -> None:
    row = make_row()
    document, histories = pushed(row)
    first, second, third = labels(document)
    first["review"] = "accepted"
    second["review"] = "rejected"
    third["bounding_box"] = [0.0, 0.0, 0.5, 0.5]
    labels(document).append(drawn_label())
    assert read_sample(document, row, histories).changes == [
        change("toy/0#0", Verdict.KEEP),
        change("toy/0#1", Verdict.DROP),
        change("toy/0#2", Verdict.EDIT, xyxy=(0.0, 0.0, 32.0, 24.0)),
        change(DRAWN_ID, Verdict.ADD, xyxy=(16.0, 12.0, 48.0, 36.0), phrase_index=1),
    ]


def test_fixed_without_a_change_is_a_keep() -> None:
    document, histories = pushed(make_row())
    labels(document)[0]["review"] = "fixed"
    assert read_sample(document, make_row(), histories).changes == [change("toy/0#0", Verdict.KEEP)]


def test_a_changed_box_that_was_moved_back_by_hand_is_a_keep() -> None:
    edit = decide("toy/0#0", Verdict.EDIT, 1, xyxy=(0.0, 0.0, 32.0, 24.0))
    document, histories = pushed(make_row(), edit)
    fresh, _ = pushed(make_row())
    labels(document)[0]["bounding_box"] = labels(fresh)[0]["bounding_box"]
    assert read_sample(document, make_row(), histories).changes == [change("toy/0#0", Verdict.KEEP)]


def rows_of(changes: list[Change]) -> list[Decision]:
    return [
        decide(c.box_id, c.verdict, 10 + i, xyxy=c.xyxy, phrase_index=c.phrase_index)
        for i, c in enumerate(changes)
    ]


def test_reading_the_same_sample_again_gives_no_new_changes() -> None:
    row = make_row()
    document, histories = pushed(row)
    labels(document)[0]["review"] = "accepted"
    labels(document)[1]["label"] = "a café"
    labels(document)[2]["bounding_box"] = [0.1, 0.1, 0.3, 0.3]
    labels(document).append(drawn_label())
    taken = rows_of(read_sample(document, row, histories).changes)
    assert len(taken) == 4
    # The labels were not marked: as after a pull that was killed between appending and marking.
    _, later = pushed(row, *taken)
    again = read_sample(document, row, later)
    assert again.changes == []
    assert sorted(again.settled.values()) == sorted(d.box_id for d in taken)


def test_a_rebuilt_sample_says_nothing_new() -> None:
    row = make_row(width=1237, height=853)
    document, histories = pushed(row)
    labels(document)[0]["bounding_box"] = [0.1, 0.1, 0.3, 0.3]
    labels(document)[1]["phrase_index"] = 1
    del labels(document)[2]
    labels(document).append(drawn_label(bounding_box=[1 / 3, 1 / 7, 1 / 9, 1 / 11]))
    taken = rows_of(read_sample(document, row, histories).changes)
    rebuilt, later = pushed(row, *taken)
    reading = read_sample(rebuilt, row, later)
    assert (reading.changes, reading.conflicts, reading.settled) == ([], [], {})
    assert labels(rebuilt)[3]["_id"] == ObjectId("aa" * 12)


def test_a_later_decision_from_elsewhere_is_not_overruled_by_what_was_taken_before() -> None:
    row = make_row()
    keep = decide("toy/0#0", Verdict.KEEP, 1)
    document, _ = pushed(row, keep)
    _, later = pushed(row, keep, decide("toy/0#0", Verdict.DROP, 2))
    assert read_sample(document, row, later).changes == []


def test_decisions_whose_files_are_gone_are_found_again_in_the_app() -> None:
    row = make_row()
    document, _ = pushed(row, decide("toy/0#0", Verdict.DROP, 1))
    _, none = pushed(row)
    of_ann = Stamp("ann", "2026-01-01T00:00:01.000000Z")
    assert read_sample(document, row, none).changes == [
        change("toy/0#0", Verdict.DROP, stamp=of_ann)
    ]


def test_a_deleted_box_that_is_dropped_already_gives_nothing() -> None:
    row = make_row()
    document, histories = pushed(row, decide("toy/0#0", Verdict.DROP, 1))
    del labels(document)[0]
    reading = read_sample(document, row, histories)
    assert reading.changes == []
    assert reading.deleted == ["toy/0#0"]


def test_a_drawn_box_that_was_rejected_before_any_pull_never_was() -> None:
    document, histories = pushed(make_row())
    labels(document).append(drawn_label(review="rejected"))
    reading = read_sample(document, make_row(), histories)
    assert (reading.changes, reading.conflicts) == ([], [])


def test_a_drawn_box_that_was_pulled_and_then_rejected_is_dropped() -> None:
    add = decide(DRAWN_ID, Verdict.ADD, 1, xyxy=(16.0, 12.0, 48.0, 36.0), phrase_index=1)
    document, histories = pushed(make_row(), add)
    labels(document)[3]["review"] = "rejected"
    assert read_sample(document, make_row(), histories).changes == [change(DRAWN_ID, Verdict.DROP)]


def test_a_drawn_box_that_moved_after_a_pull_is_added_anew() -> None:
    add = decide(DRAWN_ID, Verdict.ADD, 1, xyxy=(16.0, 12.0, 48.0, 36.0), phrase_index=1)
    document, histories = pushed(make_row(), add)
    labels(document)[3]["bounding_box"] = [0.0, 0.0, 0.5, 0.5]
    assert read_sample(document, make_row(), histories).changes == [
        change(DRAWN_ID, Verdict.ADD, xyxy=(0.0, 0.0, 32.0, 24.0), phrase_index=1)
    ]


def test_a_word_taken_back_is_a_decision() -> None:
    document, histories = pushed(make_row(), decide("toy/0#0", Verdict.DROP, 1))
    labels(document)[0]["review"] = "pending"
    reading = read_sample(document, make_row(), histories)
    assert reading.changes == [change("toy/0#0", Verdict.OPEN)]
    assert (reading.conflicts, reading.undecided) == ([], 3)


def test_an_ambiguous_drawn_box_is_taken_and_stays_reported() -> None:
    row = make_twins()
    document, histories = pushed(row)
    labels(document).append(drawn_label(label="a dog"))
    reading = read_sample(document, row, histories)
    assert [c.verdict for c in reading.changes] == [Verdict.ADD]
    assert [c.kind for c in reading.conflicts] == [ConflictKind.AMBIGUOUS_PHRASE]
    _, later = pushed(row, *rows_of(reading.changes))
    again = read_sample(document, row, later)
    assert again.changes == []
    assert [c.kind for c in again.conflicts] == [ConflictKind.AMBIGUOUS_PHRASE]
    assert again.settled == {}


def test_a_changed_box_id_does_not_move_the_decision_to_another_box() -> None:
    document, histories = pushed(make_row())
    labels(document)[0] |= {"box_id": "toy/0#1", "review": "rejected"}
    assert read_sample(document, make_row(), histories).changes == [change("toy/0#0", Verdict.DROP)]


def test_labels_without_an_id_and_with_the_same_id_are_conflicts() -> None:
    document, histories = pushed(make_row())
    labels(document).append({"label": "a dog"})
    labels(document).append(dict(labels(document)[0]))
    reading = read_sample(document, make_row(), histories)
    assert [c.kind for c in reading.conflicts] == [ConflictKind.BAD_LABEL] * 2
    assert "label 3 has no _id" in reading.conflicts[0].detail
    assert "two labels have the _id" in reading.conflicts[1].detail


def test_a_conflict_keeps_the_whole_box_out() -> None:
    document, histories = pushed(make_row())
    labels(document)[0] |= {"label": "a cat", "review": "accepted", "bounding_box": [0, 0, 1, 1]}
    reading = read_sample(document, make_row(), histories)
    assert reading.changes == []
    assert [c.box_id for c in reading.conflicts] == ["toy/0#0"]
