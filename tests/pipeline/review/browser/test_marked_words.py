"""Words of the caption that the mouse marks become a phrase."""

from __future__ import annotations

import pytest

from tests.pipeline.review.browser.review_page import ReviewPage

pytestmark = [pytest.mark.slow, pytest.mark.fiftyone, pytest.mark.browser]

LAST_FREE_WORD = """() => {
  const words = [];
  for (const node of document.querySelector("#glipforge-strip .caption").childNodes)
    if (node.nodeType === Node.TEXT_NODE)
      for (const found of node.textContent.matchAll(/[a-z]{2,}/gi)) {
        const range = document.createRange();
        range.setStart(node, found.index);
        range.setEnd(node, found.index + found[0].length);
        const { left, right, top, height } = range.getBoundingClientRect();
        words.push([found[0], left, right, top + height / 2]);
      }
  return words.pop() }"""
"""(word, left, right, middle) of the last word of the caption that is in no phrase."""


def test_marked_words_become_a_phrase_with_the_selected_box(page: ReviewPage) -> None:
    caption = page.bench.rows[page.number].caption
    count = len(page.bench.rows[page.number].phrases)
    page.select(0)
    word, left, right, middle = page.page.evaluate(LAST_FREE_WORD)
    mouse = page.page.mouse
    mouse.move(left, middle)
    mouse.down()
    mouse.move(right, middle, steps=6)
    mouse.up()
    assert page.page.evaluate("() => getSelection().toString()") == word
    page.press("p")
    page.toast("new phrase with 1 box")
    phrase = page.bench.document(page.number)["phrases"][-1]
    assert phrase["text"] == caption[phrase["start"] : phrase["end"]] == word
    assert phrase["start"] == max(
        place for place in range(len(caption)) if caption.startswith(word, place)
    )
    assert (page.label(0)["label"], page.label(0)["phrase_index"]) == (word, count)
    page.page.locator(f"#glipforge-strip [data-phrase='{count}']", has_text=word).wait_for()
