"""Kills at random moments on a cluster of several nodes; see `tests/jobs/kill_storm.py`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.jobs.kill_storm import KINDS, Storm

SEED = 3


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.timeout(1500)  # nodes start slowly on a busy machine
def test_fifty_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    found = Storm(folder=tmp_path, kills=50, seed=SEED, pause_s=(1.0, 3.0)).run()
    assert sum(found["kills"].values()) >= 50
    assert set(found["kills"]) == set(KINDS)
    assert found["teacher passes"] <= 1.05
