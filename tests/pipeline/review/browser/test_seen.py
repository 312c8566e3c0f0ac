"""What shows at once: what the policy keeps, verdicts on boxes, reasons under the pointer."""

from __future__ import annotations

import pytest

from pipeline.images.palette import phrase_hex
from tests.pipeline.review.browser.drawn_rows import REASON
from tests.pipeline.review.browser.review_page import ReviewPage

pytestmark = [pytest.mark.slow, pytest.mark.fiftyone, pytest.mark.browser]


def test_first_what_the_policy_keeps_and_why_it_is_suspected_then_by_key_or_slider_the_rest(
    noted_page: ReviewPage,
) -> None:
    page = noted_page
    page.point_at(0)
    hover = page.page.locator("#glipforge-hover", has_text=REASON)
    hover.wait_for()
    text = hover.inner_text()
    assert page.label(0)["label"] in text
    assert "pending · score 0.90 · suspicion 0.80" in text
    labels = page.labels()
    kept = [label["level"] == 1 for label in labels]
    assert 0 < sum(kept) < len(kept)
    page.strip_says(f"{sum(kept)} of {len(kept)} boxes: that the policy keeps")
    page.drawn(sum(kept))
    page.press("a")
    assert page.question() == f"Accept {sum(kept)} visible pending boxes?"
    page.press("Escape")
    page.press("k")
    page.strip_says(f"{len(kept)} of {len(kept)} boxes: from score 0.00")
    page.drawn(len(kept))
    page.press("a")
    assert page.question() == f"Accept {len(kept)} visible pending boxes?"
    page.press("Escape")
    page.page.locator("#glipforge-strip .level input").fill("0.5")
    page.strip_says(f"{sum(kept)} of {len(kept)} boxes: from score 0.50")
    page.drawn(sum(kept))
    page.press_for("r")
    page.wait_reviews(["rejected" if one else "pending" for one in kept])


def test_lines_and_marks_tell_verdicts_apart_in_the_colour_of_the_phrase(page: ReviewPage) -> None:
    page.wait_for(
        lambda: {(line, mark) for line, mark, _ in lines(page)} == {("dotted", "?")}, "dotted lines"
    )
    for ordinal, key in ((0, "a"), (1, "r")):
        page.select(ordinal)
        page.press(key)
        word = {"a": "accepted", "r": "rejected"}[key]
        page.wait_for(lambda: page.reviews()[ordinal] == word, word)  # noqa: B023
    page.idle()
    phrase = [label["phrase_index"] for label in page.labels()]
    wanted = {("solid", "\N{CHECK MARK}", phrase[0]), ("dashed", "\N{BALLOT X}", phrase[1])}
    page.wait_for(lambda: wanted <= lines(page), f"{wanted}")


def lines(page: ReviewPage) -> set[tuple[str, str, int]]:
    """(line, mark, phrase by its colour) of the boxes as the canvas draws them next."""
    page.page.evaluate(
        """() => {
        const proto = CanvasRenderingContext2D.prototype;
        window.__drawn = [];
        if (window.__spied) return;
        window.__spied = true;
        let dashes = [];
        const [plainDash, plainStroke] = [proto.setLineDash, proto.stroke];
        const plainText = proto.fillText;
        let line = null;
        proto.setLineDash = function (pattern) { dashes = pattern; plainDash.call(this, pattern) };
        proto.stroke = function (...rest) {
          line = line || [dashes[0] || 0, this.strokeStyle];
          plainStroke.apply(this, rest);
        };
        proto.fillText = function (text, ...rest) {
          if (line && text.length === 1) window.__drawn.push([line[0], text, line[1]]);
          line = null;
          plainText.call(this, text, ...rest);
        } }"""
    )
    for x in (6, 12):
        page.page.mouse.move(500 + x, 400)
        page.page.wait_for_timeout(600)
    found = page.page.evaluate("() => window.__drawn")
    names = {0: "solid", 3: "dotted", 11: "dashed"}
    colors = [phrase_hex(index) for index in range(10)]
    return {(names[dash], mark, colors.index(color)) for dash, mark, color in found}


def test_a_box_is_drawn_for_a_phrase(page: ReviewPage) -> None:
    count = len(page.labels())
    page.page.locator("[data-draw='1']").click()
    page.toast("draw a box for phrase 2")
    page.drag((600, 220), (720, 320))
    page.wait_for(lambda: len(page.labels()) == count + 1, "the drawn box")
    page.wait_for(lambda: page.label(-1)["review"] == "accepted", "its phrase")
    page.settle()
    drawn_label = page.label(-1)
    assert drawn_label["label"] == page.bench.rows[page.number].phrases[1].text
    assert (drawn_label["phrase_index"], drawn_label["origin"]) == (1, "human")


def test_the_grid_is_ordered_by_what_is_most_suspicious(window: ReviewPage) -> None:
    window.open_view("queue", window.bench.dataset.load_saved_view("queue").count())
    scores = [window.bench.document(window.number)["queue_score"]]
    window.next()
    scores.append(window.bench.document(window.number)["queue_score"])
    assert scores == sorted(scores, reverse=True)
    assert None not in scores
