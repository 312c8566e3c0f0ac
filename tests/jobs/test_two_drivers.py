"""Two drivers of one run on a network that drops requests and answers: see `two_drivers.py`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faulty_store import faulty_store
from tests.jobs.two_drivers import play


@pytest.mark.slow
@pytest.mark.parametrize("seed", [26])
def test_no_unit_is_committed_twice(seed: int, tmp_path: Path) -> None:
    with faulty_store() as store:
        found = play(store, tmp_path, seed=seed, drops=0.06)
    assert found["saw the other"] >= 1
    assert found["request"] + found["answer"] > 0
