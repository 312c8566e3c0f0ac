"""Two reviewers, each with an app server and a browser of their own, on one image at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pipeline.review.app.server import AppServer, run_server
from tests.pipeline.review.browser.review_page import ReviewPage
from tests.pipeline.review.browser.review_window import SIZE
from tests.pipeline.review.conftest import ReviewSession

pytestmark = [pytest.mark.slow, pytest.mark.fiftyone, pytest.mark.browser]


@pytest.fixture(scope="module")
def bobs_app(review_session: ReviewSession) -> Iterator[AppServer]:
    with run_server(review_session.home, review_session.database, reviewer="bob") as running:
        yield running


@pytest.fixture
def bob(chromium: Any, bobs_app: AppServer, page: ReviewPage) -> Iterator[ReviewPage]:
    """Bob's window, with the same image open."""
    context = chromium.new_context(viewport=SIZE)
    opened = ReviewPage(context, bobs_app, page.bench)
    opened.open(page.number)
    yield opened
    opened.close()
    context.close()


def test_two_reviewers_on_one_image_keep_both_their_works(
    page: ReviewPage, bob: ReviewPage
) -> None:
    assert bob.page.url.split("/datasets")[0] != page.page.url.split("/datasets")[0]
    bob.annotate()
    bob.edit(1)
    page.select(0)
    page.press("r")
    page.wait_for(lambda: page.reviews()[0] == "rejected", "the verdict of the first")
    untouched = page.others(0, 1)
    bob.set_x(0.21)
    rejected, moved = page.label(0), page.label(1)
    assert (moved["bounding_box"][0], moved["review"], moved["reviewer"]) == (0.21, "fixed", "bob")
    assert rejected["review"] == "rejected"
    assert rejected["reviewer"] not in ("", "bob")
    assert page.others(0, 1) == untouched
    bob.strip_says("1 rejected")
    # The first still sees the second box as it was: a word on it would be about something else.
    page.press_for("a")
    page.toast("bob changed the box")
    assert page.label(1) == moved
    assert {status for status, _ in bob.saves} == {200}


def test_each_reviewer_takes_back_their_own_change_only(page: ReviewPage, bob: ReviewPage) -> None:
    page.select(0)
    page.press("a")
    page.wait_for(lambda: page.reviews()[0] == "accepted", "the first word")
    bob.open(page.number)
    bob.select(1)
    bob.press("r")
    page.wait_for(lambda: page.reviews()[1] == "rejected", "the second word")
    page.press("u")
    page.wait_for(lambda: page.reviews()[0] == "pending", "the first taken back")
    assert page.reviews()[1] == "rejected"
    page.strip_says("1 rejected")
