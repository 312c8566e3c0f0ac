"""The panel `Review`: how far the review is, and forms for what concerns many boxes; and what the
grid shows of them."""

from __future__ import annotations

import pytest

from pipeline.review.sync.label.seen import labels_of
from tests.pipeline.review.browser.review_page import ReviewPage

pytestmark = [pytest.mark.slow, pytest.mark.fiftyone, pytest.mark.browser]


def test_the_panel_tells_the_progress_and_starts_operators(page: ReviewPage) -> None:
    window = page.page
    modal = window.locator("[data-cy=modal]")
    tab = modal.locator("[data-cy=panel-tab-progress_panel]")
    adds = modal.locator("[data-cy=new-panel-btn]")
    tab.or_(adds).first.wait_for()
    if not tab.count():  # FiftyOne opens with it only where it knew the plugin before the image
        adds.click()
        window.locator("[data-cy=new-panel-option-progress_panel]").click()
    tab.click()
    window.get_by_role("button", name="Merge phrases").click()
    form = window.get_by_role("dialog")
    form.get_by_text("Boxes of").wait_for()
    window.keyboard.press("?")  # the form lies over the image: its keys are not the reviewer's
    assert not window.locator("#glipforge-help").count()
    strip = window.locator("#glipforge-strip").bounding_box()
    title = form.get_by_text("Merge phrases").bounding_box()
    assert title["y"] >= strip["y"] + strip["height"]
    form.get_by_role("button", name="Cancel").click()
    form.wait_for(state="detached")
    page.press("?")
    window.locator("#glipforge-help").wait_for()
    page.press("?")

    page.run("close_sample", {})
    modal.wait_for(state="detached")
    note = window.locator("#glipforge-hover", has_text="Boxes that the policy keeps")
    note.wait_for()  # only said once it is so
    window.locator("[data-cy=new-panel-btn]").first.click()
    window.locator("[data-cy=new-panel-option-progress_panel]").click()
    window.get_by_text("boxes judged").first.wait_for()
    window.get_by_role("button", name="Count anew").wait_for()
    window.get_by_role("button", name="Accept all above a score").click()
    form.get_by_text("accepts").wait_for()
    form.locator("input[type=number]").first.fill("0.1")
    shown = [
        [label["review"] == "pending" and label["level"] == 1 for label in labels_of(document)]
        for document in page.bench.stored.samples.find({})
    ]
    boxes, images = sum(map(sum, shown)), sum(map(any, shown))
    assert boxes < sum(map(len, shown))
    # The grid hides what the policy does not keep, and so the form counts it not.
    form.get_by_text(f"accepts {boxes:,} boxes of {images:,} images").wait_for()
    form.get_by_role("button", name="Cancel").click()
    form.wait_for(state="detached")
    assert note.inner_text() == "Boxes that the policy keeps \u00b7 k: all candidates"
    hidden = "boxes.detections.level"
    page.wait_for(lambda: hidden in page.state("filters"), "the level in the grid")
    page.run("set_filters", {})  # as FiftyOne drops them while it loads
    page.wait_for(lambda: hidden in page.state("filters"), "the level comes again")
    all_of_them = window.locator("#glipforge-hover", has_text="All candidates \u00b7 k: what the")
    page.press("k")
    all_of_them.wait_for()
    assert hidden not in page.state("filters")
    page.press("k")
    note.wait_for()
    window.locator("[data-cy=sidebar]").first.click(position={"x": 5, "y": 5})
    page.run("set_filters", {})  # a hand in the side bar: the reviewer's own wish
    all_of_them.wait_for()
    assert hidden not in page.state("filters")
