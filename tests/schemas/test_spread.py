from __future__ import annotations

import pytest

from schemas.spread import evenly_spread, in_parts


@pytest.mark.parametrize(
    ("length", "number", "chosen"),
    [
        (0, 3, ()),
        (3, 0, (0, 1, 2)),
        (3, 3, (0, 1, 2)),
        (3, 9, (0, 1, 2)),
        (10, 1, (0,)),
        (10, 2, (0, 5)),
        (10, 4, (0, 2, 5, 7)),
        (7, 6, (0, 1, 2, 3, 4, 5)),
    ],
)
def test_places(length: int, number: int, chosen: tuple[int, ...]) -> None:
    assert evenly_spread(range(length), number) == chosen


@pytest.mark.parametrize(
    ("weights", "max_items", "parts"),
    [
        ((), None, []),
        ((10, 1), None, [[10], [1]]),  # heavier than allowed: alone
        ((3, 3, 3, 3), None, [[3, 3], [3, 3]]),
        ((1, 10, 1, 1), None, [[1], [10], [1, 1]]),
        ((6, 1), None, [[6, 1]]),
        ((0, 0, 0), 2, [[0, 0], [0]]),
        ((1, 1, 7, 1), 2, [[1, 1], [7], [1]]),
    ],
)
def test_parts(weights: tuple[int, ...], max_items: int | None, parts: list[list[int]]) -> None:
    found = in_parts(weights, lambda weight: weight, max_weight=7, max_items=max_items)
    assert list(found) == parts
