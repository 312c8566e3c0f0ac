"""The picture of docs/review.md; written where `$GLIPFORGE_PICTURES` says, else only looked at."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from PIL import Image

from tests.pipeline.review.browser.review_page import ReviewPage

pytestmark = [pytest.mark.slow, pytest.mark.fiftyone, pytest.mark.browser]


def test_the_page_shows_caption_boxes_and_verdicts(window: ReviewPage, tmp_path: Path) -> None:
    window.open_from_grid()
    window.select(2)
    window.press("a")
    window.wait_for(lambda: "accepted" in window.reviews(), "the verdict")
    window.strip_says("1 accepted")
    window.idle()
    window.page.mouse.move(5, 700)
    window.page.wait_for_timeout(1000)  # for the look of it: nothing below leans on it
    picture = Image.open(io.BytesIO(window.page.screenshot()))
    caption = window.bench.rows[window.number].caption
    shown = window.page.locator("#glipforge-strip .caption").inner_text()
    assert caption.split()[0] in shown
    folder = Path(os.environ.get("GLIPFORGE_PICTURES") or tmp_path)
    path = folder / "review.webp"
    picture.convert("RGB").resize((1120, 720)).save(path, "WEBP", quality=72)
    assert path.stat().st_size < 120_000
