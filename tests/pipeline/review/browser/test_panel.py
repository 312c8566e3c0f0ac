"""The panel `Review`: how far the review is, and forms for what concerns many boxes."""

from __future__ import annotations

import pytest

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
    window.locator("[data-cy=new-panel-btn]").first.click()
    window.locator("[data-cy=new-panel-option-progress_panel]").click()
    window.get_by_text("boxes judged").first.wait_for()
    window.get_by_role("button", name="Count anew").wait_for()
    window.get_by_role("button", name="Accept all above a score").click()
    form.get_by_text("accepts").wait_for()
