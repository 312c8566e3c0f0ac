"""How many processes share the units of a run."""

from __future__ import annotations

import pytest

from pipeline.run.map_units import MIN_ROWS_PER_WORKER, num_workers


@pytest.mark.parametrize(
    "rows, items, wanted, number",
    [(0, 3, 10**20, 3), (0, 0, 5, 1), (10**9, 8, 2, 2), (MIN_ROWS_PER_WORKER - 1, 8, 0, 1)],
)
def test_processes_are_as_many_as_pay(rows: int, items: int, wanted: int, number: int) -> None:
    assert num_workers(rows, items, wanted) == number
