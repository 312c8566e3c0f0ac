"""A caption with its phrases in the colours of their boxes, as Plotly's small HTML. Pure."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.images.palette import phrase_hex

LINE_CHARS = 64


def caption_markup(caption: str, phrases: Sequence[Mapping[str, Any]]) -> str:
    """Mark every phrase by its span.

    Args:
        caption: the caption.
        phrases: mappings with `start` and `end`, character offsets; the colour follows the
            position. A phrase that overlaps an earlier one stays unmarked.

    Returns:
        Escaped text with `<span>`, `<b>` and `<br>`: all that Plotly's titles understand.
    """
    pieces: list[tuple[str, str | None]] = []
    position = 0
    in_order = sorted(enumerate(phrases), key=lambda item: (item[1]["start"], item[0]))
    for index, phrase in in_order:
        start, end = int(phrase["start"]), int(phrase["end"])
        if start < position or end > len(caption):
            continue
        pieces += [(caption[position:start], None), (caption[start:end], phrase_hex(index))]
        position = end
    pieces.append((caption[position:], None))
    column = 0
    out: list[str] = []
    for text, color in pieces:
        lines, column = _wrapped(text, column)
        marked = "<br>".join(html.escape(line, quote=False) for line in lines)
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
