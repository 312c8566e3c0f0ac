"""Captions of scenes: what is in them, how many, where; with the exact span of every mention."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from pipeline.world.nouns import is_mass, plural_of, with_article
from pipeline.world.scenes import Scene
from schemas.records import Span, Xyxy

# The words around the nouns name nothing that is drawn: a parser must not take them for objects.
OPENERS = (
    "",
    "",
    "",
    "",
    "there {is} ",
    "here {is} ",
    "a picture of ",
    "a photo of ",
    "an image of ",
    "a drawing of ",
    "look at ",
    "this shows ",
    "i can see ",
)
TAILS = ("", "", "", "", "", " in the afternoon", " on a nice day", " in the background", " today")
JOINS = (" and ", " and ", " with ", " near ", " next to ", " beside ")
NUMBERS = ("no", "one", "two", "three", "four", "five", "six")
SIZE_RATE = 0.12
"""How often a single object is called small or large, where it is."""
SMALL, LARGE = 0.06, 0.13
"""Area of a box over the scene's below, or above, which an object is called so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mention:
    """A noun phrase of the caption: `caption[span]`, and the boxes it speaks of."""

    noun: str
    span: Span
    boxes: tuple[Xyxy, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Caption:
    """A caption and its mentions in reading order."""

    text: str
    mentions: tuple[Mention, ...]


def write_caption(rng: np.random.Generator, scene: Scene, *, drop_rate: float = 0.0) -> Caption:
    """A caption that is true of the scene.

    Args:
        rng: Decides the words.
        scene: At least one object.
        drop_rate: How often a noun is not mentioned; at least one always is.
    """
    nouns = list(Counter(item.noun for item in scene.objects))
    order = [nouns[i] for i in rng.permutation(len(nouns))]
    kept = [noun for noun in order if rng.random() >= drop_rate] or order[:1]
    area = float(scene.pixels.shape[0] * scene.pixels.shape[1])
    opener = OPENERS[rng.integers(len(OPENERS))]
    text = opener.format(**{"is": "are" if _is_plural(scene, kept[0]) else "is"})
    mentions: list[Mention] = []
    for index, noun in enumerate(kept):
        boxes = tuple(item.xyxy for item in scene.objects if item.noun == noun)
        if index:
            text += _join(rng, mentions[-1].boxes, boxes, is_last=index == len(kept) - 1)
        phrase = _phrase(rng, noun, boxes, area)
        mentions.append(Mention(noun=noun, span=(len(text), len(text) + len(phrase)), boxes=boxes))
        text += phrase
    text += TAILS[rng.integers(len(TAILS))]
    if rng.random() < 0.5:
        text = text[0].upper() + text[1:]
    if rng.random() < 0.4:
        text += "."
    return Caption(text=text, mentions=tuple(mentions))


def _phrase(rng: np.random.Generator, noun: str, boxes: tuple[Xyxy, ...], area: float) -> str:
    count = len(boxes)
    if is_mass(noun):
        return f"some {noun}"
    if count > 1:
        number = NUMBERS[count] if rng.random() < 0.7 and count < len(NUMBERS) else "some"
        return f"{number} {plural_of(noun)}"
    x0, y0, x1, y1 = boxes[0]
    share = (x1 - x0) * (y1 - y0) / area
    size = "small" if share < SMALL else "large" if share > LARGE else ""
    if size and rng.random() < SIZE_RATE:
        return with_article(f"{size} {noun}")
    return f"the {noun}" if rng.random() < 0.15 else with_article(noun)


def _is_plural(scene: Scene, noun: str) -> bool:
    count = sum(item.noun == noun for item in scene.objects)
    return noun.endswith("s") if is_mass(noun) else count > 1


def _join(
    rng: np.random.Generator, first: tuple[Xyxy, ...], second: tuple[Xyxy, ...], *, is_last: bool
) -> str:
    """Words between two mentions; a relation only between single objects, and only a true one."""
    if len(first) == len(second) == 1 and rng.random() < 0.5:
        (ax0, ay0, ax1, ay1), (bx0, by0, bx1, by1) = first[0], second[0]
        true = [
            words
            for words, holds in (
                (" to the left of ", ax1 <= bx0),
                (" to the right of ", ax0 >= bx1),
                (" above ", ay1 <= by0),
                (" below ", ay0 >= by1),
            )
            if holds
        ]
        if true:
            return true[rng.integers(len(true))]
    if not is_last and rng.random() < 0.5:
        return ", "
    return JOINS[rng.integers(len(JOINS))]
