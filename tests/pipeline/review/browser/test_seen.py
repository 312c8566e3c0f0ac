"""What shows at once: what the policy keeps, verdicts on boxes, reasons under the pointer."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.images.palette import phrase_color
from tests.pipeline.review.browser.drawn_rows import REASON
from tests.pipeline.review.browser.review_page import ReviewPage

pytestmark = [pytest.mark.slow, pytest.mark.fiftyone, pytest.mark.browser]


def test_first_what_the_policy_keeps_and_by_a_key_or_the_slider_the_rest(
    noted_page: ReviewPage,
) -> None:
    page = noted_page
    labels = page.labels()
    kept = [label["level"] == 1 for label in labels]
    assert 0 < sum(kept) < len(kept)
    page.strip_says(f"{sum(kept)} of {len(kept)} boxes: that the policy keeps")
    page.press("a")
    assert page.question() == f"Accept {sum(kept)} visible pending boxes?"
    page.press("Escape")
    page.press("k")
    page.strip_says(f"{len(kept)} of {len(kept)} boxes: from score 0.00")
    page.page.wait_for_timeout(600)
    page.press("a")
    assert page.question() == f"Accept {len(kept)} visible pending boxes?"
    page.press("Escape")
    page.page.locator("#glipforge-strip .level input").fill("0.5")
    page.strip_says(f"{sum(kept)} of {len(kept)} boxes: from score 0.50")
    page.page.wait_for_timeout(600)
    page.press("r")
    page.press("Enter")
    page.wait_reviews(["rejected" if one else "pending" for one in kept])


def test_the_box_under_the_pointer_says_why_it_is_suspected(noted_page: ReviewPage) -> None:
    page = noted_page
    x, y = page.spot(page.label(0)["bounding_box"])
    page.page.mouse.move(x - 4, y - 4)
    page.page.mouse.move(x, y)
    hover = page.page.locator("#glipforge-hover", has_text=REASON)
    hover.wait_for()
    text = hover.inner_text()
    assert page.label(0)["label"] in text
    assert "pending · score 0.90 · suspicion 0.80" in text


def test_lines_and_marks_tell_verdicts_apart_in_the_colour_of_the_phrase(page: ReviewPage) -> None:
    pending = page.label(0)["bounding_box"]
    page.page.wait_for_timeout(1000)
    dotted = drawn(page, pending)
    page.select(0)
    page.press("a")
    page.wait_for(lambda: page.reviews()[0] == "accepted", "the verdict")
    page.page.mouse.move(5, 700)
    page.page.wait_for_timeout(1500)
    solid = drawn(page, pending)
    page.select(0)
    page.press("r")
    page.wait_for(lambda: page.reviews()[0] == "rejected", "the verdict")
    page.page.mouse.move(5, 700)
    page.page.wait_for_timeout(1500)
    dashed = drawn(page, pending)
    assert solid[0] > 0.9
    assert dotted[0] < solid[0] - 0.2
    assert dashed[0] < solid[0] - 0.2
    assert (dotted[1], solid[1], dashed[1]) == (False, False, True)


def drawn(page: ReviewPage, box: list[float]) -> tuple[float, bool]:
    """The share of a box's left side that has the colour of phrase 0, and whether a diagonal goes
    from its corner."""
    shot = page.page.screenshot()
    if os.environ.get("RV_DEBUG"):
        Path(f"/tmp/rv_shot_{page.reviews()[0]}.png").write_bytes(shot)
    picture = np.asarray(Image.open(io.BytesIO(shot)).convert("RGB"), int)
    is_colored = np.abs(picture - np.array(phrase_color(0))).sum(axis=-1) < 60
    left, top = map(round, page.spot([box[0], box[1], 0, 0]))
    right, bottom = map(round, page.spot([box[0] + box[2], box[1] + box[3], 0, 0]))
    middle = slice(top + (bottom - top) // 3, bottom - 4)
    side = is_colored[middle, left - 3 : left + 4].any(axis=1)
    x, y = left + (right - left) * 3 // 4, top + (bottom - top) * 3 // 4
    return float(side.mean()), bool(is_colored[y - 2 : y + 3, x - 2 : x + 3].any())


def test_a_box_is_drawn_for_a_phrase(page: ReviewPage) -> None:
    count = len(page.labels())
    page.page.locator("[data-draw='1']").click()
    page.toast("draw a box for phrase 2")
    page.page.wait_for_timeout(800)
    page.drag((600, 220), (720, 320))
    page.wait_for(lambda: len(page.labels()) == count + 1, "the drawn box")
    page.wait_for(lambda: page.label(-1)["review"] == "accepted", "its phrase")
    page.settle()
    drawn_label = page.label(-1)
    assert drawn_label["label"] == page.bench.rows[page.number].phrases[1].text
    assert (drawn_label["phrase_index"], drawn_label["origin"]) == (1, "human")


def test_the_grid_is_ordered_by_what_is_most_suspicious(page: ReviewPage) -> None:
    page.open_view("queue")
    scores = [page.bench.document(page.number)["queue_score"]]
    page.next()
    scores.append(page.bench.document(page.number)["queue_score"])
    assert scores == sorted(scores, reverse=True)
    assert None not in scores
    page.leave_view()
