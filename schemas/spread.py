"""The one way to take a part of a sequence: evenly spread, the same every time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def evenly_spread(items: Sequence[T], number: int) -> tuple[T, ...]:
    """At most `number` items at equal distances, the first among them; 0: all."""
    if not number or len(items) <= number:
        return tuple(items)
    return tuple(items[place * len(items) // number] for place in range(number))
