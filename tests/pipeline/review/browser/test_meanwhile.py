"""Pulls on a timer and pushes, while a reviewer has an image open in Annotate."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pipeline.curation.decisions import load_decisions
from pipeline.review.sync.label.notes import Suspicion
from schemas.records import Verdict
from tests.pipeline.review.browser.drawn_rows import REASON, drawn_notes
from tests.pipeline.review.browser.review_page import ReviewPage

pytestmark = [pytest.mark.slow, pytest.mark.fiftyone, pytest.mark.browser]


def left_side(page: ReviewPage, ordinal: int) -> float:
    """As typed: a push after a pull writes the place again as decisions hold it, in 32 bits."""
    return round(float(page.label(ordinal)["bounding_box"][0]), 6)


def test_edits_of_an_image_that_is_open_survive_a_pull_and_a_push(page: ReviewPage) -> None:
    bench = page.bench
    page.annotate()
    page.edit(0)
    page.type_x(0.12)
    page.wait_for(lambda: left_side(page, 0) == 0.12, "the edit")
    page.page.locator("[data-action=reject]").click()  # its key would go into the form's field
    page.wait_for(lambda: page.label(0)["review"] == "rejected", "a word after it")
    before = bench.document(page.number)["last_modified_at"]
    bench.pull()
    notes = drawn_notes(bench.rows)
    suspects = {**notes.suspects, page.box(2): Suspicion(score=0.7, reasons=(REASON,))}
    bench.push(notes=replace(notes, suspects=suspects))
    assert bench.document(page.number)["last_modified_at"] > before, "the push replaced the image"
    others = page.others(0, 1)
    page.edit(1)
    page.type_x(0.21)
    page.wait_for(lambda: left_side(page, 1) == 0.21 or page.saves[-1][0] != 200, "another edit")
    assert {status for status, _ in page.saves} == {200}
    assert (left_side(page, 1), page.label(1)["review"]) == (0.21, "fixed")
    assert (left_side(page, 0), page.label(0)["review"]) == (0.12, "rejected")
    assert page.others(0, 1) == others
    while_it_is_sent(page)
    bench.pull()
    mine = [d for d in load_decisions(bench.run) if d.record_id == f"toy/{page.number}"]
    last = {decision.box_id: decision.verdict for decision in mine}
    assert last == {
        page.box(0): Verdict.DROP,
        page.box(1): Verdict.EDIT,
        page.box(2): Verdict.EDIT,
    }
    assert bench.pull().decisions == []


def while_it_is_sent(page: ReviewPage) -> None:
    """An edit that is not yet saved when a pull and a push come by."""
    bench = page.bench
    came_by: list[Any] = []

    def hold(route: Any) -> None:
        if route.request.method == "PATCH" and not came_by:
            bench.pull()
            bench.push(notes=drawn_notes(bench.rows))  # the queue forgot the box
            came_by.append(bench.document(page.number)["last_modified_at"])
        route.continue_()

    before = bench.document(page.number)["last_modified_at"]
    others = page.others(2)
    page.page.route("**/sample/*", hold)
    page.edit(2)
    page.type_x(0.31)
    page.wait_for(lambda: left_side(page, 2) == 0.31 or page.saves[-1][0] != 200, "the held edit")
    page.page.unroute("**/sample/*", hold)
    assert came_by
    assert came_by[0] > before, "the push replaced the image"
    assert {status for status, _ in page.saves} == {200}
    assert (left_side(page, 2), page.label(2)["review"]) == (0.31, "fixed")
    assert [words(label) for label in page.others(2)] == [words(label) for label in others]


def words(label: dict[str, Any]) -> tuple[Any, ...]:
    """What people said of a box: a pull writes the decisions that it became beside it."""
    return (label["_id"], label["review"], label["phrase_index"], label.get("reviewer"))
