"""Pictures for people: boxes in the colours of their phrases, captions, contact sheets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFont

from pipeline.images.palette import Color, phrase_color
from schemas.boxes import as_boxes
from schemas.records import Span

_PAPER: Color = (250, 250, 248)
_INK: Color = (40, 40, 44)

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@lru_cache(maxsize=32)
def _font(size: int) -> Font:
    return ImageFont.load_default(size)


def _line_height(font: Font) -> int:
    _, top, _, bottom = font.getbbox("Agy|")
    return math.ceil(bottom - top) + 4


def draw_boxes(
    image: NDArray[np.uint8] | Image.Image,
    boxes: ArrayLike,
    labels: Sequence[str],
    scores: Sequence[float] | None = None,
    colors: Sequence[Color] | None = None,
) -> Image.Image:
    """A copy of the image with boxes and their labels.

    Args:
        image: uint8 RGB [height, width, 3], or a picture of any mode.
        boxes: half-open xyxy [K, 4] in the image's pixels.
        labels: one per box.
        scores: shown behind the labels.
        colors: one per box; default: one per distinct label, in order of appearance.

    Raises:
        ValueError: the numbers of boxes, labels, scores and colors differ.
    """
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    picture = picture.convert("RGB")  # a copy, also of RGB
    corners = as_boxes(boxes)
    if colors is None:
        order = {label: number for number, label in enumerate(dict.fromkeys(labels))}
        colors = [phrase_color(order[label]) for label in labels]
    for name, values in (("labels", labels), ("scores", scores), ("colors", colors)):
        if values is not None and len(values) != len(corners):
            raise ValueError(f"{len(corners)} boxes, but {len(values)} {name}")
    draw = ImageDraw.Draw(picture)
    short = min(picture.size)
    stroke = max(1, round(short / 240))
    font = _font(max(9, min(26, round(short / 26))))
    # Large boxes first, so that small ones and their labels stay readable.
    sides = corners[:, 2:] - corners[:, :2]
    order_by_area = np.argsort(-(sides[:, 0] * sides[:, 1]), kind="stable")
    for index in order_by_area:
        x0, y0, x1, y1 = (round(float(value)) for value in corners[index])
        # Pillow's rectangles own their last pixel.
        right, bottom = max(x0, x1 - 1), max(y0, y1 - 1)
        draw.rectangle((x0, y0, right, bottom), outline=colors[index], width=stroke)
    for index in order_by_area:
        text = labels[index] if scores is None else f"{labels[index]} {scores[index]:.2f}"
        _draw_tag(draw, picture.size, corners[index], text, colors[index], font)
    return picture


def _draw_tag(
    draw: ImageDraw.ImageDraw,
    size: tuple[int, int],
    box: NDArray[np.float64],
    text: str,
    color: Color,
    font: Font,
) -> None:
    if not text.strip():
        return
    text = " ".join(text.split())
    width, height = math.ceil(draw.textlength(text, font=font)) + 6, _line_height(font)
    x = min(max(0, round(float(box[0]))), max(0, size[0] - width))
    above = round(float(box[1])) - height
    y = above if above >= 0 else min(max(0, round(float(box[1]))), max(0, size[1] - height))
    draw.rectangle((x, y, x + width - 1, y + height - 1), fill=color)
    draw.text((x + 3, y + 1), text, fill=(255, 255, 255), font=font)


def draw_caption(
    caption: str,
    spans: Sequence[Span],
    width: int,
    colors: Sequence[Color] | None = None,
    *,
    font_size: int = 15,
    max_lines: int = 12,
) -> Image.Image:
    """A strip of paper with the caption, its phrases in their colours.

    Args:
        caption: any text.
        spans: half-open character spans; where they overlap the later one shows.
        width: of the strip, pixels.
        colors: one per span; default: `phrase_color` of its index.
        font_size: pixels.
        max_lines: what follows is cut with an ellipsis.
    """
    color_of: dict[int, Color] = {}
    for number, (start, end) in enumerate(spans):
        color = phrase_color(number) if colors is None else colors[number]
        color_of.update(dict.fromkeys(range(start, end), color))
    font = _font(font_size)
    lines = _wrap(caption, font, width - 12)
    if len(lines) > max_lines:
        lines = lines[:max_lines]
        start, text = lines[-1]
        lines[-1] = (start, text[: max(0, len(text) - 3)] + "...")
    height = _line_height(font)
    strip = Image.new("RGB", (max(1, width), height * max(1, len(lines)) + 8), _PAPER)
    draw = ImageDraw.Draw(strip)
    for row, (start, text) in enumerate(lines):
        x = 6.0
        for first, last in _runs(start, text, color_of):
            piece = text[first:last]
            draw.text(
                (x, 4 + row * height), piece, fill=color_of.get(start + first, _INK), font=font
            )
            x += draw.textlength(piece, font=font)
    return strip


def _runs(start: int, text: str, color_of: dict[int, Color]) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    first = 0
    for position in range(1, len(text) + 1):
        if position == len(text) or color_of.get(start + position) != color_of.get(start + first):
            runs.append((first, position))
            first = position
    return runs if text else []


def _wrap(text: str, font: Font, width: int) -> list[tuple[int, str]]:
    """(offset, line) pairs; the lines are slices of the text, line breaks apart."""
    lines: list[tuple[int, str]] = []
    start = 0
    for paragraph in text.splitlines(keepends=True):
        body = paragraph.rstrip("\r\n")
        first, space = 0, -1
        for position, char in enumerate(body):
            if char.isspace():
                space = position
            if position > first and font.getlength(body[first : position + 1]) > width:
                cut = space + 1 if space >= first else position
                lines.append((start + first, body[first:cut]))
                first = cut
        lines.append((start + first, body[first:]))
        start += len(paragraph)
    return lines


def contact_sheet(
    images: Sequence[Image.Image],
    captions: Sequence[str | Image.Image],
    columns: int = 3,
    *,
    cell_width: int = 320,
) -> Image.Image:
    """Pictures in a grid, each over its caption (a text, or a strip by `draw_caption`).

    Raises:
        ValueError: no image, another number of captions, or no column.
    """
    if not images:
        raise ValueError("a contact sheet needs at least one image")
    if len(captions) != len(images):
        raise ValueError(f"{len(images)} images, but {len(captions)} captions")
    if columns < 1:
        raise ValueError(f"columns must be at least 1, got {columns}")
    gap = 10
    cells = [
        _cell(image, caption, cell_width) for image, caption in zip(images, captions, strict=True)
    ]
    rows = [cells[first : first + columns] for first in range(0, len(cells), columns)]
    heights = [max(cell.height for cell in row) for row in rows]
    width = min(columns, len(cells)) * (cell_width + gap) + gap
    sheet = Image.new("RGB", (width, sum(heights) + gap * (len(rows) + 1)), (225, 225, 222))
    y = gap
    for row, height in zip(rows, heights, strict=True):
        for column, cell in enumerate(row):
            sheet.paste(cell, (gap + column * (cell_width + gap), y))
        y += height + gap
    return sheet


def _cell(image: Image.Image, caption: str | Image.Image, width: int) -> Image.Image:
    # At most twice as tall as wide: one thin picture must not stretch the whole row.
    scale = min(width / image.width, 2 * width / image.height)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    small = image.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    strip = caption if isinstance(caption, Image.Image) else draw_caption(caption, (), width)
    cell = Image.new("RGB", (width, size[1] + strip.height), _PAPER)
    cell.paste(small, ((width - size[0]) // 2, 0))
    cell.paste(strip, (0, size[1]))
    return cell
