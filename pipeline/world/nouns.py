"""The 600 nouns: which of them gold data knows, and how they are written in a caption."""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Literal

from pipeline.world.atlas import all_entries

Pool = Literal["seen", "web", "never"]
POOL_SIZES: dict[Pool, int] = {"seen": 300, "web": 150, "never": 150}
"""Boxed in gold data; only named by captions; in no training data at all."""

# Never counted, as in "some bread", also where there are two of them.
_MASS_WORDS = (
    "bacon beans beer blueberries books bread briefs broccoli butter cheese cherries "
    "chopsticks coral corn fireworks footprints fries garlic glasses gloves goggles grapes "
    "headphones jeans juice luggage maracas meat pancakes peanuts popcorn rice sake salad "
    "salt scissors shorts skis soap socks spaghetti sunglasses sushi wheat yarn "
    "toilet_paper noodle_soup lettuce bubble_tea shopping_bags ice_cream fried_shrimp dice "
    "crossed_swords"
)
MASS = frozenset(_MASS_WORDS.split())

_IRREGULAR = {
    "man": "men",
    "woman": "women",
    "goose": "geese",
    "mouse": "mice",
    "wolf": "wolves",
    "leaf": "leaves",
    "knife": "knives",
    "scarf": "scarves",
    "deer": "deer",
    "moose": "moose",
    "bison": "bison",
    "sheep": "sheep",
    "fish": "fish",
    "goldfish": "goldfish",
    "pufferfish": "pufferfish",
    "jellyfish": "jellyfish",
    "shrimp": "shrimp",
    "squid": "squid",
    "octopus": "octopuses",
    "tomato": "tomatoes",
    "potato": "potatoes",
    "mango": "mangoes",
    "mosquito": "mosquitoes",
    "tornado": "tornadoes",
    "volcano": "volcanoes",
    "headphones": "headphones",
    "police officer": "police officers",
}
_SPOKEN_WITH_VOWEL = ("hourglass",)
_SPOKEN_WITHOUT = ("unicorn", "ufo", "ewe")


@cache
def all_nouns() -> tuple[str, ...]:
    """Every noun, in the order of the glyph sheets."""
    return tuple(entry["noun"] for entry in all_entries())


@cache
def nouns_of(pool: Pool) -> tuple[str, ...]:
    """The nouns of a pool, sorted. The division is fixed: it depends on the words alone."""
    shuffled = sorted(all_nouns(), key=lambda noun: hashlib.sha256(noun.encode()).hexdigest())
    start = 0
    for name, size in POOL_SIZES.items():
        if name == pool:
            return tuple(sorted(shuffled[start : start + size]))
        start += size
    raise ValueError(f"pool must be one of {', '.join(POOL_SIZES)}, got {pool!r}")


def is_mass(noun: str) -> bool:
    """True where English does not count the noun, or has no singular for it."""
    return noun.replace(" ", "_") in MASS


def plural_of(noun: str) -> str:
    """The noun for two and more."""
    if noun in _IRREGULAR:
        return _IRREGULAR[noun]
    first, _, last = noun.rpartition(" ")
    if first:
        return f"{first} {plural_of(last)}"
    if is_mass(noun):
        return noun
    if last.endswith(("s", "x", "z", "ch", "sh")):
        return f"{last}es"
    if last.endswith("y") and last[-2] not in "aeiou":
        return f"{last[:-1]}ies"
    return f"{last}s"


def with_article(words: str) -> str:
    """`a dog`, `an apple`."""
    first = words.split()[0]
    is_vowel = first in _SPOKEN_WITH_VOWEL or (first[0] in "aeiou" and first not in _SPOKEN_WITHOUT)
    return f"{'an' if is_vowel else 'a'} {words}"
