"""Edits in Annotate mode: nothing else on the image changes, whoever writes meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.curation.box_state import Review
from pipeline.review.sync.label.documents import sample_object_id
from pipeline.review.sync.label.seen import labels_of
from pipeline.review.sync.store.label_store import LabelStore, Wanted
from pipeline.review.sync.verdict.verdicts import give_phrase, judge_boxes
from tests.pipeline.review.browser.review_page import ReviewPage

pytestmark = [pytest.mark.slow, pytest.mark.fiftyone, pytest.mark.browser]


def bob(page: ReviewPage) -> LabelStore:
    """Another reviewer, in another process."""
    return LabelStore(page.bench.stored.samples, reviewer="bob")


def test_a_verdict_in_annotate_is_of_the_edited_box_and_an_edit_after_it_reverts_nothing(
    page: ReviewPage,
) -> None:
    page.annotate()
    others = page.others(1)
    page.edit(1)
    page.press("r")
    page.wait_for(lambda: page.label(1)["review"] == "rejected", "the verdict")
    page.set_x(0.11)
    assert (page.label(1)["review"], page.label(1)["bounding_box"][0]) == ("rejected", 0.11)
    assert page.others(1) == others
    assert {status for status, _ in page.saves} == {200}
    # FiftyOne sends an edit within three seconds; a window closed before loses it.
    page.stays = True
    with page.held_saves():
        page.type_x(0.12)
        page.page.close(run_before_unload=True)
        page.wait_for(lambda: page.questions, "the question before closing with an edit unsaved")
    page.stays = False
    assert set(page.questions) == {"beforeunload"}
    page.wait_for(lambda: page.label(1)["bounding_box"][0] == 0.12, "the edit on disk")
    page.page.locator("#glipforge-strip .saved").get_by_text("saved", exact=True).wait_for()


def test_an_edit_in_a_view_that_hides_boxes_keeps_them(window: ReviewPage) -> None:
    from fiftyone import ViewField as F

    dataset = window.bench.dataset
    dataset.save_view("weak only", dataset.filter_labels("boxes", F("confidence") < 0.5))
    window.open_view("weak-only", len(window.bench.rows))
    everything = window.labels()
    weak = [n for n, label in enumerate(everything) if label["confidence"] < 0.5]
    assert 0 < len(weak) < len(everything)
    window.annotate()
    listed = window.page.locator("[data-cy^=annotate-label-]")
    window.wait_for(lambda: listed.count() == len(weak), f"a list of {len(weak)} boxes")
    others = window.others(weak[-1])
    window.edit(weak[-1])
    window.set_x(0.33)
    assert window.label(weak[-1])["bounding_box"][0] == 0.33
    assert window.others(weak[-1]) == others


def test_what_another_reviewer_did_meanwhile_stays_and_is_shown(page: ReviewPage) -> None:
    page.annotate()
    page.edit(0)
    sample_id = sample_object_id(f"toy/{page.number}")
    judge_boxes(bob(page), sample_id, [page.label(2)["_id"]], Review.REJECTED)
    give_phrase(bob(page), sample_id, [page.label(3)["_id"]], 0)
    theirs = page.others(0)
    page.set_x(0.22)
    assert page.label(0)["bounding_box"][0] == 0.22
    assert page.others(0) == theirs
    page.set_x(0.23)
    assert page.label(0)["bounding_box"][0] == 0.23
    assert page.others(0) == theirs
    assert {status for status, _ in page.saves} == {200}
    page.strip_says("1 rejected")


def test_what_collides_is_refused_visibly(page: ReviewPage) -> None:
    page.annotate()
    page.edit(0)
    place = [0.5, 0.5, 0.1, 0.1]

    def move(document: dict[str, Any]) -> Wanted:
        labels = labels_of(document)
        labels[0]["bounding_box"] = place
        return Wanted(labels=labels)

    bob(page).rewrite(sample_object_id(f"toy/{page.number}"), move, action="move")
    page.type_x(0.4)
    page.toast("bob changed bounding_box")
    assert page.label(0)["bounding_box"] == place
    assert {status for status, _ in page.saves} == {409}
    page.strip_says("not saved")


def test_a_drawn_box_asks_for_its_phrase_and_is_pending_without(page: ReviewPage) -> None:
    page.annotate()
    page.edit(0)  # its label is the one that FiftyOne would take over
    page.leave_box()
    count = len(page.labels())
    page.draw((600, 220), (720, 320))
    page.wait_for(lambda: len(page.labels()) == count + 1, "the drawn box")
    page.page.get_by_text("Which phrase does the new box show?").wait_for()
    page.settle()
    drawn = page.label(-1)
    assert (drawn["label"], drawn.get("phrase_index")) == (None, None)
    assert (drawn["review"], drawn["origin"]) == ("pending", "human")
    page.press("2")
    page.wait_for(lambda: page.label(-1)["review"] == "accepted", "the phrase")
    page.settle()
    drawn = page.label(-1)
    assert drawn["label"] == page.bench.rows[page.number].phrases[1].text
    assert drawn["phrase_index"] == 1
