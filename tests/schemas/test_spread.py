from __future__ import annotations

import pytest

from schemas.spread import evenly_spread


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
