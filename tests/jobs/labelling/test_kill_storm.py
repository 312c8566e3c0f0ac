"""Kills at random moments on a cluster of several nodes (see `kill_storm.py`), and lost nodes."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from jobs.labelling.isolation import MAX_FAILED_STARTS
from tests.jobs.fake_label import UNIT, all_rows, write_corpus
from tests.jobs.kill_storm import KINDS, Storm, add_node, label_workers, small_cluster
from tests.jobs.labelling.label_process import start

SEED = 3


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.timeout(1500)  # nodes start slowly on a busy machine
def test_fifty_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    found = Storm(folder=tmp_path, kills=50, seed=SEED, pause_s=(1.0, 3.0)).run()
    assert sum(found["kills"].values()) >= 50
    assert set(found["kills"]) == set(KINDS)
    assert found["teacher passes"] <= 1.05


@pytest.mark.slow
@pytest.mark.ray
def test_nodes_that_go_while_a_worker_loads_do_not_end_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Machines that may be taken away do that; a teacher that cannot be loaded dies by itself."""
    corpus, out, hold = write_corpus(tmp_path / "toy", 2), tmp_path / "run", tmp_path / "hold"
    hold.touch()
    with small_cluster(nodes=1) as cluster:
        monkeypatch.setenv("RAY_ADDRESS", cluster.address)
        running = json.dumps({"workers": 1, "cpus_per_worker": 1})
        driver = start([corpus, str(out), json.dumps({"hold": str(hold)}), running])
        try:
            for _ in range(MAX_FAILED_STARTS + 1):
                deadline = time.monotonic() + 60
                while not label_workers() and driver.poll() is None:
                    assert time.monotonic() < deadline, "no worker started"
                    time.sleep(0.1)
                (node,) = cluster.worker_nodes
                cluster.remove_node(node, allow_graceful=False)
                add_node(cluster)
            hold.unlink()
            _, said = driver.communicate(timeout=120)
            assert driver.returncode == 0, said.decode()
        finally:
            driver.kill()
    assert said.count(b"a worker's node went while it was loading") >= MAX_FAILED_STARTS
    assert len(all_rows(out)) == 2 * UNIT
