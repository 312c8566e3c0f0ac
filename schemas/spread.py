"""The one way to take a part of a sequence, evenly spread, and to cut one into parts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def evenly_spread(items: Sequence[T], number: int) -> tuple[T, ...]:
    """At most `number` items at equal distances, the first among them; 0: all."""
    if not number or len(items) <= number:
        return tuple(items)
    return tuple(items[place * len(items) // number] for place in range(number))


def in_parts(
    items: Iterable[T], weight: Callable[[T], int], *, max_weight: int, max_items: int | None = None
) -> Iterator[list[T]]:
    """Parts of a sequence in its order, each of at most so much weight and so many items.

    An item that weighs more than `max_weight` is a part of its own.
    """
    part: list[T] = []
    total = 0
    for item in items:
        more = weight(item)
        if part and (total + more > max_weight or len(part) == max_items):
            yield part
            part, total = [], 0
        part.append(item)
        total += more
    if part:
        yield part
