"""The artwork: three sheets of glyphs, one cell for each noun. Licences lie beside the sheets."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from PIL import Image

from schemas.errors import MissingDependency, reason_of

FOLDER = Path(__file__).parent / "glyphs"
CELL = 96
"""Pixels on a side of one glyph."""
COLUMNS = 25
STYLES = ("noto", "fluent-flat", "fluent")
"""Gold data knows the first two; web corpora have all three."""
MIN_ALPHA = 40
"""A pixel with less opacity is background: boxes are tight around the rest."""


@cache
def all_entries() -> tuple[dict[str, str], ...]:
    """Each noun with its emoji, in the order of the cells.

    Raises:
        MissingDependency: the file is not in this installation.
    """
    path = FOLDER / "nouns.json"
    try:
        return tuple(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise MissingDependency(
            f"{path} is missing: install glipforge again, or run "
            f"`python -m pipeline.world.make_atlas` in a clone ({reason_of(error)})"
        ) from error


class GlyphAtlas:
    """Glyphs by style and noun; a sheet is decoded at its first use."""

    def __init__(self) -> None:
        self._place = {entry["noun"]: place for place, entry in enumerate(all_entries())}
        self._sheets: dict[str, Image.Image] = {}
        self._glyphs: dict[tuple[str, str], Image.Image | None] = {}

    def glyph(self, style: str, noun: str) -> Image.Image | None:
        """RGBA, cropped to what is drawn; None where this style has no such glyph.

        Raises:
            MissingDependency: the sheet is not in this installation.
        """
        key = (style, noun)
        if key not in self._glyphs:
            place = self._place[noun]
            left, top = place % COLUMNS * CELL, place // COLUMNS * CELL
            cell = self._sheet(style).crop((left, top, left + CELL, top + CELL))
            drawn = opaque_box(cell)
            self._glyphs[key] = cell.crop(drawn) if drawn else None
        return self._glyphs[key]

    def _sheet(self, style: str) -> Image.Image:
        if style not in self._sheets:
            path = FOLDER / f"{style}.webp"
            if not path.is_file():
                raise MissingDependency(
                    f"{path} is missing: install glipforge again, or run "
                    "`python -m pipeline.world.make_atlas` in a clone"
                )
            self._sheets[style] = Image.open(path).convert("RGBA")
        return self._sheets[style]


def opaque_box(image: Image.Image) -> tuple[int, int, int, int] | None:
    """Half-open box of the pixels that can be seen; None where there are none."""
    alpha = image.getchannel("A").point(lambda value: 255 if value >= MIN_ALPHA else 0)
    return alpha.getbbox()
