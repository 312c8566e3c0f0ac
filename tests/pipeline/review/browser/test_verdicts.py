"""Verdicts by keys and buttons: on what was seen, and on nothing else."""

from __future__ import annotations

import pytest

from tests.pipeline.review.browser.review_page import ReviewPage

pytestmark = [pytest.mark.slow, pytest.mark.fiftyone, pytest.mark.browser]


def test_without_a_selection_the_number_is_asked_and_escape_changes_nothing(
    page: ReviewPage,
) -> None:
    before = page.labels()
    page.press("a")
    assert page.question() == f"Accept {len(before)} visible pending boxes?"
    page.press("Escape")
    page.page.wait_for_timeout(800)
    assert page.labels() == before
    page.press("r")
    page.press("Enter")
    page.wait_reviews(["rejected"] * len(before))
    assert all(label["reviewer"] and label["reviewed_at"] for label in page.labels())


def test_a_selection_is_judged_alone_once_and_dropped(page: ReviewPage) -> None:
    count = len(page.labels())
    page.select(0)
    page.press("a")
    page.wait_reviews(["accepted", *["pending"] * (count - 1)])
    page.page.wait_for_timeout(800)
    page.select(2)
    page.press("r")
    page.wait_reviews(["accepted", "pending", "rejected", *["pending"] * (count - 3)])


def test_the_buttons_do_what_the_keys_do(page: ReviewPage) -> None:
    page.select(1)
    page.page.locator("[data-action=reject]").click()
    page.wait_reviews(["pending", "rejected", *["pending"] * (len(page.labels()) - 2)])
