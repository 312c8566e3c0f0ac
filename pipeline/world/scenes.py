"""A scene: glyphs of a few nouns on a drawn background, each with a tight box."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from pipeline.world.atlas import STYLES, GlyphAtlas, opaque_box
from pipeline.world.backgrounds import draw_background
from schemas.errors import ConfigError
from schemas.records import Xyxy

MAX_COVERED = 0.3
"""So much of a glyph's box may lie under or over another one's."""
_TRIES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneOptions:
    """What scenes look like. Sizes in pixels."""

    side: int = 128
    nouns: tuple[int, int] = (2, 5)
    """Different nouns in a scene, from and to."""
    max_copies: int = 3
    """Glyphs of one noun; most have one."""
    size: tuple[float, float] = (0.17, 0.48)
    """Longer side of a glyph, as a share of `side`."""
    styles: tuple[str, ...] = STYLES

    def __post_init__(self) -> None:
        unknown = set(self.styles) - set(STYLES)
        if unknown or not self.styles:
            raise ConfigError(f"styles must be some of {', '.join(STYLES)}, got {self.styles!r}")
        if self.side < 32 or not 1 <= self.nouns[0] <= self.nouns[1] or self.max_copies < 1:
            raise ConfigError(
                f"a scene needs side >= 32, nouns from 1 on and max_copies >= 1, got {self}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneObject:
    """One glyph: its noun, its style and its box, half-open, in pixels."""

    noun: str
    style: str
    xyxy: Xyxy


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Pixels uint8 [side, side, 3] and everything that is in them."""

    pixels: NDArray[np.uint8]
    objects: tuple[SceneObject, ...]

    def encode(self) -> bytes:
        """As JPEG."""
        buffer = io.BytesIO()
        Image.fromarray(self.pixels).save(buffer, "JPEG", quality=92)
        return buffer.getvalue()


def draw_scene(
    rng: np.random.Generator, atlas: GlyphAtlas, nouns: Sequence[str], options: SceneOptions
) -> Scene:
    """A scene of some of `nouns`. Equal generators give equal pixels.

    A glyph for which no free place is found is left out; there is always at least one.
    """
    count = int(rng.integers(options.nouns[0], options.nouns[1] + 1))
    chosen = [nouns[i] for i in rng.choice(len(nouns), min(count, len(nouns)), replace=False)]
    copies = np.minimum(rng.choice([1, 1, 1, 1, 2, 2, 3], len(chosen)), options.max_copies)
    canvas = Image.fromarray(
        np.clip(draw_background(rng, options.side), 0, 255).astype(np.uint8)
    ).convert("RGBA")
    objects: list[SceneObject] = []
    for noun, number in zip(chosen, copies, strict=True):
        styles = [style for style in options.styles if atlas.glyph(style, noun) is not None]
        if not styles:
            continue
        style = styles[rng.integers(len(styles))]
        for _ in range(number):
            placed = _place(rng, canvas, atlas, noun, style, options, objects)
            if placed is not None:
                objects.append(placed)
    if not objects:  # this style has none of these nouns: draw others, never an empty scene
        return draw_scene(rng, atlas, nouns, options)
    return Scene(pixels=_finish(rng, canvas.convert("RGB")), objects=tuple(objects))


def _place(
    rng: np.random.Generator,
    canvas: Image.Image,
    atlas: GlyphAtlas,
    noun: str,
    style: str,
    options: SceneOptions,
    objects: list[SceneObject],
) -> SceneObject | None:
    glyph = atlas.glyph(style, noun)
    if glyph is None:
        return None
    longer = options.side * rng.uniform(*options.size)
    drawn = _transform(rng, glyph, longer)
    box = opaque_box(drawn)
    if box is None:
        return None
    drawn = drawn.crop(box)
    width, height = drawn.size
    if width >= options.side or height >= options.side:
        return None
    for _ in range(_TRIES):
        left = int(rng.integers(0, options.side - width + 1))
        top = int(rng.integers(0, options.side - height + 1))
        xyxy = (float(left), float(top), float(left + width), float(top + height))
        if all(_covered(xyxy, other.xyxy) <= MAX_COVERED for other in objects):
            _paste(rng, canvas, drawn, (left, top))
            return SceneObject(noun=noun, style=style, xyxy=xyxy)
    return None


def _transform(rng: np.random.Generator, glyph: Image.Image, longer: float) -> Image.Image:
    scale = longer / max(glyph.size)
    size = (max(4, round(glyph.width * scale)), max(4, round(glyph.height * scale)))
    drawn = glyph.resize(size, Image.Resampling.LANCZOS)
    if rng.random() < 0.5:
        drawn = ImageOps.mirror(drawn)
    drawn = drawn.rotate(
        float(rng.uniform(-20, 20)), resample=Image.Resampling.BICUBIC, expand=True
    )
    alpha = drawn.getchannel("A")
    lit = ImageEnhance.Brightness(drawn.convert("RGB")).enhance(float(rng.uniform(0.75, 1.25)))
    lit = ImageEnhance.Color(lit).enhance(float(rng.uniform(0.7, 1.3)))
    lit.putalpha(alpha)
    return lit


def _paste(
    rng: np.random.Generator, canvas: Image.Image, drawn: Image.Image, at: tuple[int, int]
) -> None:
    """With a soft edge of dark or light, so that a glyph never melts into its background."""
    margin = 3
    edge = Image.new("L", (drawn.width + 2 * margin, drawn.height + 2 * margin))
    edge.paste(drawn.getchannel("A"), (margin, margin))
    edge = edge.filter(ImageFilter.GaussianBlur(1.6)).point(lambda value: min(200, value))
    under = canvas.crop((*at, at[0] + drawn.width, at[1] + drawn.height)).convert("L")
    is_dark = float(np.asarray(under).mean()) < 110
    shade = (235, 235, 235) if is_dark else (25, 25, 25)
    strength = float(rng.uniform(0.3, 0.8))
    edge = edge.point(lambda value: int(value * strength))
    canvas.paste(shade, (at[0] - margin, at[1] - margin), edge)
    canvas.paste(drawn, at, drawn)


def _finish(rng: np.random.Generator, image: Image.Image) -> NDArray[np.uint8]:
    if rng.random() < 0.4:
        image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.2, 0.8))))
    pixels = np.asarray(image, np.float32)
    pixels = pixels * rng.uniform(0.92, 1.08, 3).astype(np.float32)
    if rng.random() < 0.5:
        spread = np.float32(rng.uniform(1, 7))
        pixels = pixels + spread * rng.standard_normal(pixels.shape, np.float32)
    return np.clip(pixels, 0, 255).astype(np.uint8)


def _covered(first: Xyxy, second: Xyxy) -> float:
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    if width <= 0 or height <= 0:
        return 0.0
    smaller = min((b[2] - b[0]) * (b[3] - b[1]) for b in (first, second))
    return width * height / smaller
