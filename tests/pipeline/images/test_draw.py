from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from pipeline.images.draw import contact_sheet, draw_boxes, draw_caption
from pipeline.images.palette import PALETTE, phrase_color

GREY = np.full((120, 200, 3), 128, np.uint8)


def _colors(image: Image.Image) -> set[tuple[int, int, int]]:
    return {tuple(color) for color in np.asarray(image).reshape(-1, 3)}


def test_no_boxes_leave_the_picture_as_it_is() -> None:
    assert (np.asarray(draw_boxes(GREY, [], [])) == GREY).all()


def test_other_numbers_of_labels_are_refused() -> None:
    with pytest.raises(ValueError, match="1 boxes, but 2 labels"):
        draw_boxes(GREY, [(0, 0, 10, 10)], ["a", "b"], colors=[PALETTE[0]])


def test_the_outline_is_on_the_last_pixel_inside() -> None:
    picture = np.asarray(draw_boxes(GREY, [(150, 60, 200, 120)], [""]))
    assert tuple(picture[119, 199]) == PALETTE[0]
    assert tuple(picture[119, 149]) == (128, 128, 128)
    assert (np.asarray(GREY) == 128).all()  # the input is not drawn on


@pytest.mark.parametrize(
    "box", [(0, 0, 200, 120), (-30, -30, 500, 500), (199, 119, 200, 120), (5, 5, 5, 5)]
)
def test_boxes_at_and_beyond_the_edges_are_drawn(box: tuple[int, int, int, int]) -> None:
    label = "a very long label that is wider than the picture itself"
    picture = draw_boxes(GREY, [box], [label], [0.5])
    assert picture.size == (200, 120)
    assert PALETTE[0] in _colors(picture)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1"])
def test_pictures_of_any_mode_become_rgb(mode: str) -> None:
    picture = draw_boxes(Image.new(mode, (40, 40)), [(2, 2, 30, 30)], ["dog"])
    assert picture.mode == "RGB"


def test_one_pixel_and_odd_text_are_drawn() -> None:
    dot = np.zeros((1, 1, 3), np.uint8)
    assert draw_boxes(dot, [(0, 0, 1, 1)], ["日本 😀\nnew line"], [1.0]).size == (1, 1)
    assert not dot.any()


def test_labels_share_their_colour() -> None:
    colors = _colors(draw_boxes(GREY, [(0, 40, 9, 49), (20, 40, 29, 49)], ["dog", "dog"]))
    assert PALETTE[0] in colors
    assert PALETTE[1] not in colors


def test_phrases_beyond_the_palette_begin_again() -> None:
    assert phrase_color(len(PALETTE)) == phrase_color(0)


@pytest.mark.parametrize("caption", ["", " ", "\n\n", "x" * 500, "a\u0301 日本 😀 " * 30])
def test_any_caption_fits_its_strip(caption: str) -> None:
    assert draw_caption(caption, [], 150).width == 150


def test_phrases_of_a_caption_are_coloured() -> None:
    strip = draw_caption("a dog and a cat", [(0, 5), (10, 15)], 300)
    assert {PALETTE[0], PALETTE[1]} <= _colors(strip)
    assert PALETTE[2] not in _colors(strip)


def test_a_long_caption_is_cut() -> None:
    short = draw_caption("word " * 500, [], 200, max_lines=3)
    assert short.height == draw_caption("a\nb\nc", [], 200).height


def test_a_sheet_needs_pictures_and_their_captions() -> None:
    with pytest.raises(ValueError, match="at least one image"):
        contact_sheet([], [])
    with pytest.raises(ValueError, match="1 images, but 0 captions"):
        contact_sheet([Image.new("RGB", (5, 5))], [])
    with pytest.raises(ValueError, match="columns must be at least 1, got 0"):
        contact_sheet([Image.new("RGB", (5, 5))], [""], 0)


def test_a_sheet_has_a_cell_for_each_picture() -> None:
    images = [Image.new("RGB", size, (255, 0, 0)) for size in ((40, 30), (1, 900), (900, 1))]
    sheet = contact_sheet(images, ["one", "two", ""], 2, cell_width=100)
    assert sheet.width == 2 * 110 + 10
    assert sheet.height < 400
