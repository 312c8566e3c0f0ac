"""Words and texts that decide how a caption is cut: collectives, leading words, numbers, links."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline.phrases.drop_words import LEADING_WORDS

if TYPE_CHECKING:
    from spacy.tokens import Span

_COLLECTIVES = (
    "group groups pair pairs couple number bunch bunches lot lots variety dozen dozens handful "
    "herd herds flock flocks pack team set row rows line crowd stack stacks pile piles array "
    "assortment collection series plenty majority hundreds thousands kind kinds type types sort "
    "sorts piece pieces slice slices bit bits"
)
COLLECTIVES = frozenset(_COLLECTIVES.split())
"""Words that, with "of", count or gather what the next phrase names."""

SHOUTED_SHARE = 0.6
"""Parsed in lower case where at least this share of the words begins with a capital."""
_MIN_SHOUTED_WORDS = 3
_UNIT_WORDS = (
    "a am p pm a.m p.m o'clock mm cm m km in inch inches ft foot feet yd yards miles mile sq g kg "
    "lb lbs oz ml l px mp mb gb tb hz khz mhz ghz w kw v mah k usd eur gbp dollars dollar euros "
    "euro cents pounds percent off x yrs years"
)
_UNITS = frozenset(_UNIT_WORDS.split())
_MEASURE = re.compile(
    rf"[\d.,:/]+(?:{'|'.join(sorted(map(re.escape, _UNITS)))})"
    r"|\d+(?:\.\d+)?(?:[x×]\d+(?:\.\d+)?)+(?:[cm]?m|in)?",  # noqa: RUF001 - 80x28x202
    re.IGNORECASE,
)
FILE_ENDS = "jpe?g|png|gif|webp|bmp|tiff?|heic|html?|txt|pdf|csv|mp4|mov|avi"
_LINK = re.compile(rf"(?:https?://|www\.|[#@]\w)|^\S+\.(?:com|org|net|{FILE_ENDS})$", re.I)


def parse_text(caption: str) -> str:
    """What the parser reads: the caption, or a lower-case copy of the same length.

    Headline and ALL CAPS spelling turn most words into proper nouns for the tagger; on 72
    COCO captions exact spans fall from F 1.00 to .91 and .89, and in lower case are .998.
    """
    words = [word for word in caption.split() if any(map(str.isalpha, word))]
    capitals = sum(word.lstrip("\"'([{-*").strip()[:1].isupper() for word in words)
    if len(words) < _MIN_SHOUTED_WORDS or capitals < SHOUTED_SHARE * len(words):
        return caption
    if len(lower := caption.lower()) == len(caption):
        return lower
    # Some letters, as the dotted capital I, become two: they stay, since offsets must not move.
    return "".join(low if len(low := char.lower()) == 1 else char for char in caption)


def strip_leading_words(span: Span) -> Span:
    """The span without articles, demonstratives and possessives in front; never empty."""
    start = span.start
    while start < span.end - 1 and (
        span.doc[start].lower_ in LEADING_WORDS or span.doc[start].is_space
    ):
        start += 1
    return span.doc[start : span.end]


def is_number(word: str) -> bool:
    """True for `12`, `3,000`, `10:30`, `24/7`."""
    return any(map(str.isdigit, word)) and not any(map(str.isalpha, word))


def is_measure(words: Sequence[str]) -> bool:
    """True for numbers alone or with units: `12:30 PM`, `5 ft`, `20 EUR`, `10kg`."""
    return any(any(map(str.isdigit, word)) for word in words) and all(
        is_number(word) or word.lower().rstrip(".") in _UNITS or _MEASURE.fullmatch(word)
        for word in words
    )


def is_only_link(text: str) -> bool:
    """True for one link and nothing else but spaces."""
    return len(text.split()) == 1 and is_link(text.strip())


def is_link(word: str) -> bool:
    """True for web addresses, file names, `#tags` and `@names`."""
    return _LINK.search(word) is not None
