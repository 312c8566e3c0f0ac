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


def test_a_selection_does_not_go_to_the_next_image(page: ReviewPage) -> None:
    page.open_from_grid()
    page.select(0)
    assert len(page.selected()) == 1
    first, number = page.labels(), page.number
    page.next()
    judged = page.labels()
    page.press("r")
    assert "visible" in page.question()
    page.press("Enter")
    page.wait_for(lambda: page.labels() != judged, "the verdict")
    page.wait_for(lambda: page.selected() == [], "an empty selection")
    page.number = number
    assert page.labels() == first


def test_the_buttons_do_what_the_keys_do(page: ReviewPage) -> None:
    page.select(1)
    page.page.locator("[data-action=reject]").click()
    page.wait_reviews(["pending", "rejected", *["pending"] * (len(page.labels()) - 2)])


def test_boxes_that_a_filter_hides_are_not_judged(page: ReviewPage) -> None:
    page.filter_score(0.5)
    while set(page.reviews()) != {"pending"}:  # other tests open the first images too
        page.next()
    before = page.labels()
    seen = [label.get("confidence", 0) >= 0.5 for label in before]
    page.press("r")
    assert f"{sum(seen)} visible" in page.question()
    page.press("Enter")
    words = [label["review"] for label in before]
    page.wait_reviews(
        ["rejected" if is_seen else word for is_seen, word in zip(seen, words, strict=True)]
    )


def test_undo_takes_back_the_last_click_and_the_page_shows_it(page: ReviewPage) -> None:
    before = page.reviews()
    page.select(0)
    page.press("r")
    page.wait_for(lambda: page.reviews()[0] == "rejected", "the verdict")
    page.toast("rejected: 1 box")
    page.press("u")
    page.wait_reviews(before)
    page.toast("taken back: reject")
    page.strip_says(f"{len(before)} pending")


def test_a_phrase_without_a_selection_shows_its_boxes_only(page: ReviewPage) -> None:
    page.press("2")
    page.page.wait_for_timeout(1200)
    indices = [label["phrase_index"] for label in page.labels()]
    page.press("a")
    assert page.question().startswith(f"Accept {indices.count(1)} visible")
    page.press("Enter")
    page.wait_reviews(["accepted" if index == 1 else "pending" for index in indices])


def test_a_phrase_with_a_selection_takes_the_box(page: ReviewPage) -> None:
    page.select(0)
    page.page.locator("[data-phrase='1']").click()
    page.wait_for(lambda: page.label(0)["phrase_index"] == 1, "the other phrase")
    phrase = page.bench.rows[page.number].phrases[1]
    assert (page.label(0)["label"], page.label(0)["review"]) == (phrase.text, "fixed")


def test_done_goes_to_the_next_image_and_bad_asks_why(page: ReviewPage) -> None:
    page.open_from_grid()
    first = page.number
    page.press("d")
    page.wait_for(lambda: page.bench.document(first).get("pair_review") == "done", "done")
    page.wait_for(lambda: page.find_number() != first, "the next image")
    page.page.wait_for_timeout(1000)
    page.press("b")
    assert page.question() == "Why is this image bad?"
    page.page.wait_for_timeout(400)
    page.page.keyboard.type("blurred")
    page.press("Enter")
    second = page.number
    page.wait_for(lambda: page.bench.document(second).get("pair_review") == "bad", "bad")
    assert page.bench.document(second)["pair_reason"] == "blurred"
    assert page.bench.document(second)["pair_reviewer"]


def test_the_help_sheet_lists_the_keys(page: ReviewPage) -> None:
    page.press("?")
    text = page.page.locator("#glipforge-help").inner_text()
    for words in ("accept:", "reject", "take back", "done", "colours by verdict"):
        assert words in text
    page.press("Escape")
    assert page.page.locator("#glipforge-help").count() == 0
