"""Decisions of an older run on a new run's boxes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.curation.box_state import Review, box_histories, resolve_record
from pipeline.curation.carry import CarryReport, carry
from schemas.errors import ConfigError
from schemas.records import Annotation, Decision, Verdict
from tests.pipeline.review.builders import decide, make_row
from tests.schemas.builders import make_box


def carried(new: Annotation, *old: Decision, past: tuple[Decision, ...] = ()) -> CarryReport:
    return carry([make_row()], [new], {"toy/0": old}, {"toy/0": past})


def moved(dx: float) -> Annotation:
    """The new run: other ids, another order, places moved to the right."""
    row = make_row()
    boxes = [
        replace(box, box_id=f"toy/0#{number + 10}", xyxy=_moved(box.xyxy, dx))
        for number, box in enumerate(row.boxes[:2])
    ]
    return replace(row, boxes=tuple(reversed(boxes)), teacher_id="another")


def _moved(xyxy: tuple[float, ...], dx: float) -> tuple[float, float, float, float]:
    return (xyxy[0] + dx, xyxy[1], xyxy[2] + dx, xyxy[3])


def test_words_follow_phrase_and_place() -> None:
    report = carried(
        moved(1.0), decide("toy/0#0", Verdict.KEEP, 1), decide("toy/0#1", Verdict.DROP, 2)
    )
    assert [(d.box_id, d.verdict, d.carried_from, d.reviewer) for d in report.decisions] == [
        ("toy/0#10", Verdict.KEEP, "d1", "ann"),
        ("toy/0#11", Verdict.DROP, "d2", "ann"),
    ]
    assert report.decisions[0].decided_at == decide("x", Verdict.KEEP, 1).decided_at
    assert report.left == []
    resolve_record(moved(1.0), report.decisions)


def test_a_box_that_the_new_teacher_moved_far_is_listed() -> None:
    report = carried(moved(20.0), decide("toy/0#0", Verdict.KEEP, 1))
    assert report.decisions == []
    assert [(one.box_id, one.reason) for one in report.left] == [
        ("toy/0#0", "the new run does not have such a box")
    ]


def test_a_place_that_a_person_chose_is_never_lost() -> None:
    place = (3.0, 3.0, 33.0, 33.0)
    report = carried(
        moved(20.0),
        decide("toy/0#0", Verdict.EDIT, 1, xyxy=place),
        decide("drawn", Verdict.ADD, 2, xyxy=(1.0, 1.0, 9.0, 9.0), phrase_index=1),
    )
    assert [d.verdict for d in report.decisions] == [Verdict.ADD, Verdict.ADD]
    standing = box_histories(moved(20.0), report.decisions)
    assert [s.current().xyxy for s in standing.values()][-2:] == [place, (1.0, 1.0, 9.0, 9.0)]
    near = carried(moved(1.0), decide("toy/0#0", Verdict.EDIT, 1, xyxy=place))
    assert [(d.box_id, d.verdict, d.xyxy) for d in near.decisions] == [
        ("toy/0#10", Verdict.EDIT, place)
    ]


def test_carrying_twice_and_over_work_in_the_new_run_changes_nothing() -> None:
    old = decide("toy/0#0", Verdict.KEEP, 1)
    first = carried(moved(1.0), old)
    assert carried(moved(1.0), old, past=tuple(first.decisions)).decisions == []
    own = decide("toy/0#10", Verdict.DROP, 5)
    report = carried(moved(1.0), old, past=(own,))
    assert report.decisions == []
    assert report.reasons() == {"the box was judged in the new run already": 1}


def test_two_boxes_never_share_one() -> None:
    twin = make_box(box_id="toy/0#20", xyxy=(1.0, 2.0, 30.0, 41.0))
    row = make_row()
    old = replace(row, boxes=(*row.boxes, replace(twin, box_id="toy/0#3")))
    words = [decide("toy/0#0", Verdict.KEEP, 1), decide("toy/0#3", Verdict.DROP, 2)]
    new = replace(row, boxes=(twin,))
    report = carry([old], [new], {"toy/0": words}, {})
    assert [(d.carried_from, d.box_id) for d in report.decisions] == [("d2", "toy/0#20")]
    assert len(report.left) == 1


def test_a_phrase_or_pair_that_is_gone() -> None:
    word = decide("toy/0#2", Verdict.KEEP, 1)
    row = make_row()
    caption = "a dog alone"
    new = replace(row, caption=caption, phrases=(row.phrases[0],), boxes=row.boxes[:2])
    assert carried(new, word).reasons() == {"the new run does not have the phrase": 1}
    report = carry([row], [], {"toy/0": [word]}, {})
    assert report.reasons() == {"the new run does not have this pair": 1}


def test_words_about_pairs() -> None:
    bad = carried(moved(1.0), decide("", Verdict.BAD, 1, reason="blurred"))
    assert [(d.verdict, d.reason, d.carried_from) for d in bad.decisions] == [
        (Verdict.BAD, "blurred", "d1")
    ]
    done = carried(moved(1.0), decide("", Verdict.DONE, 1))
    assert done.reasons() == {"the boxes of the new run were not looked at yet": 1}


def test_a_word_taken_back_is_not_carried() -> None:
    words = [decide("toy/0#0", Verdict.DROP, 1), decide("toy/0#0", Verdict.OPEN, 2)]
    assert box_histories(make_row(), words)["toy/0#0"].current().review == Review.PENDING
    report = carried(moved(1.0), *words)
    assert (report.decisions, report.left) == ([], [])


@pytest.mark.parametrize("value", [0.0, 1.5])
def test_a_bad_overlap(value: float) -> None:
    with pytest.raises(ConfigError, match=rf"carry-min-iou must be in \(0, 1\], got {value}"):
        carry([], [], {}, {}, min_iou=value)
