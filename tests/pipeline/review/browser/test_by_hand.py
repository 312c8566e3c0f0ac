"""What CI does a little of and people do much of: many verdicts counted, random clicks.

`GLIPFORGE_VERDICTS=50` and `pytest -s` print keys, clicks and seconds of both ways;
`GLIPFORGE_CLICKS=500` makes a longer random walk.
"""

from __future__ import annotations

import os
import random
import time

import pytest

from pipeline.curation.box_state import Review
from pipeline.review.sync.label.documents import sample_object_id
from pipeline.review.sync.store.label_store import LabelStore
from pipeline.review.sync.verdict.verdicts import judge_boxes
from tests.pipeline.review.browser.review_page import ReviewPage

pytestmark = [pytest.mark.slow, pytest.mark.fiftyone, pytest.mark.browser]

VERDICTS = int(os.environ.get("GLIPFORGE_VERDICTS", "4"))
CLICKS = int(os.environ.get("GLIPFORGE_CLICKS", "8"))
WRONG = 0.3
"""Boxes below this score are wrong in the drawn pairs: two an image or three, as many as right."""


@pytest.mark.timeout(3600)
def test_verdicts_need_few_keys(window: ReviewPage) -> None:
    """Wrong boxes are clicked and rejected together, the rest is accepted at once, done, next."""
    window.open_from_grid()
    judged = images = 0
    window.actions, started = 0, time.monotonic()
    while judged < VERDICTS:
        labels = window.labels()
        if {label["review"] for label in labels} != {"pending"}:
            window.next()
            continue
        wrong = [n for n, label in enumerate(labels) if label.get("confidence", 1) < WRONG]
        if not all(can_be_clicked(window, ordinal) for ordinal in wrong):
            window.next()
            continue
        for ordinal in wrong:
            window.select(ordinal)
        window.press("r")
        # The next key does not wait for the server: the page takes them in turn.
        right = len(labels) - len(wrong)
        if right > 1:
            window.press_for("a", f"Accept {right} visible pending boxes?")
        else:
            window.press("a")
        window.wait_for(lambda: "pending" not in window.reviews(), "the accepted")
        sample = window.sample_id
        window.press("d")
        window.wait_for(lambda: window.sample_id != sample, "the next image")  # noqa: B023
        window.strip_follows()
        judged, images = judged + len(labels), images + 1
    seconds = time.monotonic() - started
    told("keys", judged, images, window.actions, seconds)
    assert window.actions <= 1.6 * judged


@pytest.mark.timeout(3600)
def test_fiftyones_own_form_needs_more(window: ReviewPage) -> None:
    """The same verdicts as without the plugin's keys: in Annotate, box by box, a form for each."""
    window.open_from_grid()
    judged = images = 0
    window.actions, started = 1, time.monotonic()
    window.annotate()
    while judged < VERDICTS:
        labels = window.labels()
        if {label["review"] for label in labels} != {"pending"}:
            window.next()
            continue
        window.page.locator(f"[data-cy=annotate-label-{labels[0]['_id']}]").wait_for()
        words = ["rejected" if label["confidence"] < WRONG else "accepted" for label in labels]
        for ordinal, word in enumerate(words):
            window.edit(ordinal)
            window.page.locator("[data-cy=sidebar]").get_by_text(word, exact=True).click()
            window.leave_box()
            window.actions += 3
        window.wait_reviews(words)
        window.next()
        window.actions += 1
        judged, images = judged + len(labels), images + 1
    told("form", judged, images, window.actions, time.monotonic() - started)
    assert window.actions >= 3 * judged


def can_be_clicked(window: ReviewPage, ordinal: int) -> bool:
    """Whether some of the box lies in no other."""
    try:
        return bool(window.free_point(ordinal))
    except AssertionError:
        return False


def told(way: str, judged: int, images: int, actions: int, seconds: float) -> None:
    """Print what the verdicts cost."""
    print(
        f"\n{way}: {judged} verdicts, {images} images, {actions} keys and clicks, {seconds:.0f} s"
    )


@pytest.mark.timeout(3600)
def test_random_clicks_change_what_was_meant_and_nothing_else(page: ReviewPage) -> None:
    draw = random.Random(CLICKS)
    bob = LabelStore(page.bench.stored.samples, reviewer="bob")
    expected = page.reviews()
    places = [label["bounding_box"] for label in page.labels()]
    ids = [label["_id"] for label in page.labels()]
    alone = [n for n, box in enumerate(places) if clear(box, [*places[:n], *places[n + 1 :]])]
    assert len(alone) > 1
    who = [""] * len(expected)
    mine: list[tuple[int, str, str]] = []
    for _ in range(CLICKS):
        number = draw.choice(alone)
        step = draw.choice(["accept", "reject", "accept", "reject", "undo", "bob", "candidates"])
        if step in ("accept", "reject"):
            page.select(number)
            page.press(step[0])
            word = {"accept": "accepted", "reject": "rejected"}[step]
            if (word, "me") != (expected[number], who[number]):
                mine.append((number, expected[number], word))
            expected[number], who[number] = word, "me"
        elif step == "undo" and mine:
            last, before, word = mine.pop()
            page.press("u")
            if expected[last] == word:
                expected[last] = before
        elif step == "candidates":
            page.press("k")
        elif step == "bob" and not any(last == number for last, _, _ in mine):
            sample_id = sample_object_id(f"toy/{page.number}")
            judge_boxes(bob, sample_id, [ids[number]], Review.REJECTED)
            expected[number], who[number] = "rejected", "bob"
            page.open(page.number)
        page.wait_reviews(expected)
        page.idle()
        assert [label["bounding_box"] for label in page.labels()] == places
    assert [label["_id"] for label in page.labels()] == ids


def clear(box: list[float], others: list[list[float]]) -> bool:
    """True where a click at the centre of a box is on no other."""
    x, y = box[0] + box[2] / 2, box[1] + box[3] / 2
    reach = 0.02
    return not any(
        left - reach < x < left + width + reach and top - reach < y < top + height + reach
        for left, top, width, height in others
    )
