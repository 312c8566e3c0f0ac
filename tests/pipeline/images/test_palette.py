"""One colour for a phrase, wherever it is shown."""

from __future__ import annotations

import re

import numpy as np

from pipeline.images.draw import draw_boxes
from pipeline.images.palette import PALETTE, phrase_color, phrase_hex
from pipeline.review.app.caption_markup import caption_markup


def test_picture_and_app_show_the_same_colours() -> None:
    caption = "a cat, a dog"
    html = caption_markup(caption, [{"start": 0, "end": 5}, {"start": 7, "end": 12}])
    assert re.findall(r"color:(#[0-9a-f]{6})", html) == [phrase_hex(0), phrase_hex(1)]
    image = np.zeros((40, 40, 3), np.uint8)
    picture = draw_boxes(image, [[4, 4, 30, 30]], [""], colors=[phrase_color(1)])
    assert "#{:02x}{:02x}{:02x}".format(*picture.getpixel((4, 20))) == phrase_hex(1)


def test_colours_are_distinct_and_come_again() -> None:
    assert len({phrase_hex(index) for index in range(len(PALETTE))}) == len(PALETTE)
    assert phrase_hex(len(PALETTE)) == phrase_hex(0)
