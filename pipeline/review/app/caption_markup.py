"""A caption with its phrases in the colours of their boxes, as Plotly's small HTML. Pure."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from pipeline.images.palette import phrase_hex

LINE_CHARS = 64


def caption_markup(caption: str, phrases: Sequence[Mapping[str, Any]]) -> str:
    """Mark every phrase by its span.

    Args:
        caption: the caption.
        phrases: mappings with `start` and `end`, character offsets; the colour follows the
            position. Where several overlap, the shortest one's is taken: a phrase within another
            shows.

    Returns:
        Escaped text with `<span>`, `<b>` and `<br>`: all that Plotly's titles understand.
    """
    owner: list[int | None] = [None] * len(caption)
    spans = [(int(phrase["start"]), int(phrase["end"])) for phrase in phrases]
    for index in sorted(range(len(spans)), key=lambda one: spans[one][0] - spans[one][1]):
        start, end = spans[index]
        if 0 <= start < end <= len(caption):
            owner[start:end] = [index] * (end - start)
    column = 0
    out: list[str] = []
    for found, places in groupby(range(len(caption)), key=owner.__getitem__):
        lines, column = _wrapped("".join(caption[place] for place in places), column)
        marked = "<br>".join(html.escape(line, quote=False) for line in lines)
        color = None if found is None else phrase_hex(found)
        out.append(f'<span style="color:{color}"><b>{marked}</b></span>' if color else marked)
    return "".join(out)


def _wrapped(text: str, column: int) -> tuple[list[str], int]:
    """Break at spaces once a line is full; returns the lines and the column after the last."""
    lines = [""]
    for char in text:
        if char.isspace() and column >= LINE_CHARS:
            lines.append("")
            column = 0
            continue
        lines[-1] += " " if char.isspace() else char
        column += 1
    return lines, column
