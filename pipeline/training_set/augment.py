"""Changes of an image that keep its prompt true: flips, crops, light, and the choice of a size."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipeline.training_set.example import Prompt, TrainingExample
from schemas.checked import Count, Share, checked
from schemas.records import Span

SideWords = Literal["keep", "swap", "ignore"]
_MIRRORED = {
    "left": "right",
    "leftmost": "rightmost",
    "leftward": "rightward",
    "leftwards": "rightwards",
    "lefthand": "righthand",
    "clockwise": "counterclockwise",
}
_MIRROR = _MIRRORED | {right: left for left, right in _MIRRORED.items()}
_SIDE = re.compile(rf"\b(?:{'|'.join(sorted(_MIRROR, key=len, reverse=True))})\b", re.IGNORECASE)


@checked(frozen=True, slots=True, kw_only=True)
class AugmentOptions:
    """What may happen to an example. All zero: nothing does."""

    flip_share: Share = 0.5
    """Share of the examples that are mirrored."""
    side_words: SideWords = "keep"
    """A caption with "left" or "right": `keep` its image unmirrored, `swap` the words as well, or
    `ignore` that the caption becomes wrong (the reference)."""
    crop_share: Share = 0.0
    """Share of the examples of which only a random window is shown, at the full size."""
    crop_min_side: Annotated[float, Field(gt=0, le=1)] = 0.6
    """The window's smallest side as a share of the image's."""
    min_visible: Share = 0.4
    """A box stays if so much of its area is inside the window; a window that cuts one further,
    but not away, is not taken."""
    light: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Brightness and contrast change by up to this factor: 0.2 means 0.8 to 1.2."""
    mosaic_share: Share = 0.0
    """Share of the examples that are put together from four images."""
    short_sides: tuple[Count, ...] = ()
    """One is drawn as the length of the short side; empty: the image's own size."""


def names_a_side(caption: str) -> bool:
    """True where mirroring the image would make the caption a lie."""
    return _SIDE.search(caption) is not None


def swap_sides(
    caption: str, groups: tuple[tuple[Span, ...], ...]
) -> tuple[str, tuple[tuple[Span, ...], ...]]:
    """The caption with every "left" turned into "right" and back, and the spans moved along."""
    pieces: list[str] = []
    shifts: list[tuple[int, int]] = []  # (offset in the old caption, growth from there on)
    last = 0
    for match in _SIDE.finditer(caption):
        word = match.group()
        other = _MIRROR[word.lower()]
        if word.isupper():
            other = other.upper()
        elif word[0].isupper():
            other = other.capitalize()
        pieces += [caption[last : match.start()], other]
        shifts.append((match.end(), len(other) - len(word)))
        last = match.end()
    pieces.append(caption[last:])

    def moved(offset: int) -> int:
        return offset + sum(growth for end, growth in shifts if end <= offset)

    spans = tuple(tuple((moved(a), moved(b)) for a, b in group) for group in groups)
    return "".join(pieces), spans


def flip_boxes(boxes: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """Half-open boxes [N, 4] of an image of this width after it was mirrored."""
    flipped = boxes.copy()
    flipped[:, 0] = width - boxes[:, 2]
    flipped[:, 2] = width - boxes[:, 0]
    return flipped


def flip(
    example: TrainingExample, options: AugmentOptions, rng: np.random.Generator
) -> TrainingExample:
    """Mirror a share of the examples, and never make their captions wrong unless told to."""
    if rng.random() >= options.flip_share:
        return example
    prompt = example.prompt
    caption, spans = prompt.caption, prompt.spans
    if options.side_words != "ignore" and names_a_side(caption):
        if options.side_words == "keep":
            return example
        caption, spans = swap_sides(caption, spans)
    boxes = flip_boxes(prompt.boxes, example.image.shape[1])
    return replace(
        example,
        image=example.image[:, ::-1],
        prompt=replace(prompt, caption=caption, spans=spans, boxes=boxes),
    )


def keep_boxes(prompt: Prompt, keep: NDArray[np.bool_], reason: str) -> Prompt:
    """The prompt without some boxes, counted under `reason`."""
    if keep.all():
        return prompt
    drops = Counter(prompt.drops)
    drops[reason] += int((~keep).sum())
    return replace(
        prompt,
        boxes=prompt.boxes[keep],
        spans=tuple(s for s, kept in zip(prompt.spans, keep, strict=True) if kept),
        weights=prompt.weights[keep],
        drops=drops,
    )


def crop(
    example: TrainingExample, options: AugmentOptions, rng: np.random.Generator
) -> TrainingExample:
    """Show a random window of a share of the images, enlarged to the size of the whole.

    A window is taken only if every box is either gone or still at least `min_visible` inside;
    after ten windows that are not, the image stays as it is.
    """
    if rng.random() >= options.crop_share:
        return example
    from PIL import Image

    height, width = example.image.shape[:2]
    boxes = example.prompt.boxes.astype(np.float64)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    for _ in range(10):
        share = rng.uniform(options.crop_min_side, 1.0)
        w, h = share * width, share * height
        x, y = rng.uniform(0, width - w), rng.uniform(0, height - h)
        inside = boxes.copy()
        inside[:, 0::2] = inside[:, 0::2].clip(x, x + w)
        inside[:, 1::2] = inside[:, 1::2].clip(y, y + h)
        visible = np.prod(inside[:, 2:] - inside[:, :2], axis=1) / areas
        if np.all((visible == 0) | (visible >= options.min_visible)):
            break
    else:
        return example
    window = Image.fromarray(np.ascontiguousarray(example.image)).resize(
        (width, height), Image.Resampling.BILINEAR, box=(x, y, x + w, y + h)
    )
    moved = (inside - np.array([x, y, x, y])) / share
    prompt = replace(example.prompt, boxes=moved.astype(np.float32))
    prompt = keep_boxes(prompt, visible > 0, "box: outside the crop")
    return replace(example, image=np.asarray(window), prompt=prompt)


def relight(
    example: TrainingExample, options: AugmentOptions, rng: np.random.Generator
) -> TrainingExample:
    """Change brightness and contrast through one table of 256 values."""
    if options.light == 0.0:
        return example
    contrast, brightness = rng.uniform(1 - options.light, 1 + options.light, size=2)
    levels = np.arange(256, dtype=np.float64)
    table = ((levels - 128) * contrast + 128) * brightness
    return replace(example, image=table.round().clip(0, 255).astype(np.uint8)[example.image])


def draw_short_side(options: AugmentOptions, rng: np.random.Generator) -> int | None:
    """The short side that the model's preprocessing shall give this image; None: its own."""
    if not options.short_sides:
        return None
    return int(options.short_sides[rng.integers(len(options.short_sides))])
