"""Verdicts by keys and buttons: on what was seen, and on nothing else."""

from __future__ import annotations

import pytest

from tests.pipeline.review.browser.review_page import ReviewPage

pytestmark = [pytest.mark.slow, pytest.mark.fiftyone, pytest.mark.browser]


def test_without_a_selection_the_number_is_asked_and_escape_changes_nothing(
    page: ReviewPage,
) -> None:
    page.press("?")
    text = page.page.locator("#glipforge-help").inner_text()
    for words in ("accept:", "reject", "take back", "done", "colours by verdict"):
        assert words in text
    page.press("Escape")
    assert page.page.locator("#glipforge-help").count() == 0
    before = page.labels()
    page.drawn(len(before))
    page.press("a")
    assert page.question() == f"Accept {len(before)} visible pending boxes?"
    page.press("Escape")
    page.page.wait_for_timeout(800)
    assert page.labels() == before
    page.press_for("r")
    page.wait_reviews(["rejected"] * len(before))
    assert all(label["reviewer"] and label["reviewed_at"] for label in page.labels())


def test_a_selection_is_judged_alone_once_and_dropped(page: ReviewPage) -> None:
    count = len(page.labels())
    page.select(0)
    page.press("a")
    page.wait_reviews(["accepted", *["pending"] * (count - 1)])
    page.wait_for(lambda: page.selected() == [], "an empty selection")
    page.select(2)
    page.press("r")
    page.wait_reviews(["accepted", "pending", "rejected", *["pending"] * (count - 3)])
    page.wait_for(lambda: page.selected() == [], "an empty selection")
    page.select(1)
    page.page.locator("[data-action=reject]").click()  # the buttons do what the keys do
    page.wait_reviews(["accepted", "rejected", "rejected", *["pending"] * (count - 3)])


def test_a_selection_does_not_go_to_the_next_image(window: ReviewPage) -> None:
    window.open_from_grid()
    window.select(0)
    assert len(window.selected()) == 1
    first, number = window.labels(), window.number
    window.next()
    window.next_untouched()
    judged = window.labels()
    window.press_for("r", "visible")
    window.wait_for(lambda: window.labels() != judged, "the verdict")
    window.wait_for(lambda: window.selected() == [], "an empty selection")
    window.number = number
    assert window.labels() == first


def test_boxes_that_a_filter_hides_are_not_judged(window: ReviewPage) -> None:
    window.filter_score(0.5)
    window.next_untouched(least_score=0.5)
    before = window.labels()
    seen = [label.get("confidence", 0) >= 0.5 for label in before]
    window.drawn(sum(seen))
    window.press_for("r", f"{sum(seen)} visible")
    words = [label["review"] for label in before]
    window.wait_reviews(
        ["rejected" if is_seen else word for is_seen, word in zip(seen, words, strict=True)]
    )


def test_a_phrase_takes_the_selected_box_and_undo_takes_back_the_last_click(
    page: ReviewPage,
) -> None:
    before = page.reviews()
    page.select(0)
    page.press("r")
    page.wait_for(lambda: page.reviews()[0] == "rejected", "the verdict")
    page.toast("rejected: 1 box")
    page.press("u")
    page.wait_reviews(before)
    page.toast("taken back: reject")
    page.strip_says(f"{len(before)} pending")
    page.select(0)
    page.page.locator("[data-phrase='1']").click()
    page.wait_for(lambda: page.label(0)["phrase_index"] == 1, "the other phrase")
    phrase = page.bench.rows[page.number].phrases[1]
    assert (page.label(0)["label"], page.label(0)["review"]) == (phrase.text, "fixed")


def test_a_phrase_without_a_selection_shows_its_boxes_only(page: ReviewPage) -> None:
    page.press("9")
    page.toast("phrases, not 9")
    page.press("2")
    page.wait_for(lambda: "boxes.detections.phrase_index" in page.state("modalFilters"), "a filter")
    indices = [label["phrase_index"] for label in page.labels()]
    page.drawn(indices.count(1))
    page.press_for("a", f"Accept {indices.count(1)} visible")
    page.wait_reviews(["accepted" if index == 1 else "pending" for index in indices])


def test_done_goes_to_the_next_image_and_bad_asks_why(window: ReviewPage) -> None:
    window.open_from_grid()
    first = window.number
    count = len(window.labels())
    window.select(0)
    window.press("r")
    window.press("d")  # at once: it waits for the verdict, which stays on its image
    window.wait_for(lambda: window.bench.document(first).get("pair_review") == "done", "done")
    assert window.reviews() == ["rejected", *["pending"] * (count - 1)]
    window.wait_for(lambda: window.find_number() != first, "the next image")
    window.idle()
    window.strip_follows()
    window.press("b")
    assert window.question() == "Why is this image bad?"
    window.page.keyboard.type("blurred")
    window.press("Enter")
    second = window.number
    window.wait_for(lambda: window.bench.document(second).get("pair_review") == "bad", "bad")
    assert window.bench.document(second)["pair_reason"] == "blurred"
    assert window.bench.document(second)["pair_reviewer"]
    window.number = second
    assert set(window.reviews()) == {"pending"}


def test_next_twice_goes_two_images_on_and_no_verdict_is_about_an_image_not_yet_seen(
    window: ReviewPage,
) -> None:
    window.open_from_grid()
    first = window.number
    passed = range(first, first + 3)
    before = [window.bench.document(number)["boxes"] for number in passed]
    window.press_at_once("n", "n", "r")
    window.toast("another image was opened meanwhile")  # first: it does not stay for long
    window.wait_for(lambda: window.find_number() == first + 2, "the image after the next")
    window.idle()
    window.strip_follows()
    assert window.number == first + 2
    assert [window.bench.document(number)["boxes"] for number in passed] == before
