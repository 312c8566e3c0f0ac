"""Words of the caption that the mouse marks become a phrase."""

from __future__ import annotations

import pytest

from pipeline.images.palette import phrase_hex
from tests.pipeline.review.browser.review_page import ReviewPage

pytestmark = [pytest.mark.slow, pytest.mark.fiftyone, pytest.mark.browser]

LAST_WORD = """inside => {
  const words = [];
  for (const node of document.querySelector("#glipforge-strip " + inside).childNodes)
    if (node.nodeType === Node.TEXT_NODE)
      for (const found of node.textContent.matchAll(/[a-z]{2,}/gi)) {
        const range = document.createRange();
        range.setStart(node, found.index);
        range.setEnd(node, found.index + found[0].length);
        const { left, right, top, height } = range.getBoundingClientRect();
        words.push([found[0], left, right, top + height / 2]);
      }
  return words.pop() }"""
"""(word, left, right, middle) of the last word of a part of the caption, in no part of it."""


def test_marked_words_become_a_phrase_with_the_selected_box(page: ReviewPage) -> None:
    caption = page.bench.rows[page.number].caption
    count = len(page.bench.rows[page.number].phrases)
    page.select(0)
    word = mark_last_word(page, ".caption")
    page.press("p")
    page.toast("new phrase with 1 box")
    phrase = page.bench.document(page.number)["phrases"][-1]
    assert phrase["text"] == caption[phrase["start"] : phrase["end"]] == word
    assert phrase["start"] == max(
        place for place in range(len(caption)) if caption.startswith(word, place)
    )
    assert (page.label(0)["label"], page.label(0)["phrase_index"]) == (word, count)
    page.page.locator(f"#glipforge-strip [data-phrase='{count}']", has_text=word).wait_for()

    noun = mark_last_word(page, "[data-phrase='1']")
    page.press("p")
    page.toast("new phrase with 0 boxes")
    within = page.page.locator(f"[data-phrase='1'] [data-phrase='{count + 1}']")
    within.wait_for()
    assert within.inner_text().startswith(noun)
    color = within.evaluate("node => node.style.background")
    rgb = [int(phrase_hex(count + 1)[at : at + 2], 16) for at in (1, 3, 5)]
    assert color == f"rgb({rgb[0]}, {rgb[1]}, {rgb[2]})"
    within.click()  # and not the phrase around it
    chosen = {"range": [count + 1, count + 1]}
    path = "boxes.detections.phrase_index"
    page.wait_for(
        lambda: chosen.items() <= page.state("modalFilters").get(path, {}).items(), "its boxes only"
    )


def mark_last_word(page: ReviewPage, inside: str) -> str:
    """Mark a word with the mouse; returns it."""
    mouse = page.page.mouse

    def marked() -> str:
        word, left, right, middle = page.page.evaluate(LAST_WORD, inside)
        mouse.move(left, middle)
        mouse.down()
        mouse.move(right, middle, steps=6)
        mouse.up()
        is_marked = page.page.evaluate("() => getSelection().toString()") == word
        return str(word) if is_marked else ""

    page.idle()
    return str(page.wait_for(marked, "the marked word"))
