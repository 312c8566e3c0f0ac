"""Kills at random moments on a cluster of several nodes (see `kill_storm.py`), and lost nodes."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobs.labelling.isolation import MAX_FAILED_STARTS
from tests.jobs.fake_label import UNIT, all_rows, write_corpus
from tests.jobs.kill_storm import KINDS, Storm
from tests.jobs.labelling.label_process import start
from tests.jobs.small_cluster import NODES, add_node, label_workers, small_cluster

SEED = 3
KILLS = int(os.environ.get("GLIPFORGE_KILLS", "15"))
"""Each kind three times; fifty and more are for by hand, they take four minutes."""


pytestmark = [pytest.mark.slow, pytest.mark.ray]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with small_cluster() as made:
        yield made


@pytest.mark.timeout(1500)  # nodes start slowly on a busy machine
def test_kills_lose_and_double_nothing(tmp_path: Path, cluster: Any) -> None:
    found = Storm(folder=tmp_path, kills=KILLS, seed=SEED, pause_s=(1.0, 3.0)).run(cluster)
    assert sum(found["kills"].values()) >= KILLS
    assert min(found["kills"][kind] for kind in KINDS) >= KILLS // len(KINDS)
    assert found["teacher passes"] <= 1.05


def test_nodes_that_go_while_a_worker_loads_do_not_end_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cluster: Any
) -> None:
    """Machines that may be taken away do that; a teacher that cannot be loaded dies by itself."""
    corpus, out, hold = write_corpus(tmp_path / "toy", 2), tmp_path / "run", tmp_path / "hold"
    hold.touch()
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    running = json.dumps({"workers": NODES, "cpus_per_worker": 1})
    seen = {worker.pid for worker in label_workers()}
    driver = start([corpus, str(out), json.dumps({"hold": str(hold)}), running])
    try:
        for _ in range(MAX_FAILED_STARTS // NODES + 1):  # each node takes a worker with it
            seen |= _new_workers(NODES, seen, driver)
            for node in list(cluster.worker_nodes):
                cluster.remove_node(node, allow_graceful=False)
            for _ in range(NODES):
                add_node(cluster)
        hold.unlink()
        _, said = driver.communicate(timeout=300)
        assert driver.returncode == 0, said.decode()
    finally:
        driver.kill()
    assert said.count(b"a worker's node was lost while it loaded") >= MAX_FAILED_STARTS
    assert len(all_rows(out)) == 2 * UNIT


def _new_workers(number: int, seen: set[int], driver: subprocess.Popen[bytes]) -> set[int]:
    deadline = time.monotonic() + 300
    while len(found := {worker.pid for worker in label_workers()} - seen) < number:
        assert driver.poll() is None, driver.communicate()[1].decode()
        assert time.monotonic() < deadline, f"{len(found)} of {number} workers started"
        time.sleep(0.1)
    return found
