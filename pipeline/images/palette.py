"""The colours of phrases: one palette for report, contact sheet and review app."""

from __future__ import annotations

Color = tuple[int, int, int]

PALETTE: tuple[Color, ...] = (
    (230, 57, 70),
    (29, 120, 200),
    (42, 157, 80),
    (244, 140, 6),
    (131, 56, 190),
    (0, 150, 160),
    (214, 40, 140),
    (120, 90, 40),
    (90, 110, 10),
    (70, 80, 110),
)
"""RGB. Distinct on light and dark pictures, readable under white text."""


def phrase_color(index: int) -> Color:
    """The colour of phrase `index` of a caption, the same wherever it is shown."""
    return PALETTE[index % len(PALETTE)]


def phrase_hex(index: int) -> str:
    """The same colour as `#rrggbb`."""
    return "#{:02x}{:02x}{:02x}".format(*phrase_color(index))
