"""What workers take of a cluster, and how many find room."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from jobs.commands.label.label import label
from jobs.labelling.ray_actor import ActorNeeds
from jobs.labelling.running import Running, worker_needs
from tests.jobs.fake_label import UNIT, FakeSetup, all_rows, write_corpus


@dataclass(frozen=True, kw_only=True)
class DeviceSetup(FakeSetup):
    """A setup that can use a GPU."""

    device: str = "auto"


@pytest.mark.parametrize(
    "cluster, device, running, cpus, gpus, room",
    [
        ({"CPU": 16.0}, "auto", {}, 1, 0, 16),
        ({"CPU": 16.0}, "auto", {"cpus_per_worker": 4}, 4, 0, 4),
        ({"CPU": 64.0, "GPU": 8.0}, "auto", {}, 4, 1, 8),
        ({"CPU": 16.0, "GPU": 8.0}, "auto", {}, 4, 1, 4),  # cores are short
        ({"CPU": 64.0, "GPU": 8.0}, "auto", {"gpus_per_worker": 0.5}, 4, 0.5, 16),
        ({"CPU": 64.0, "GPU": 8.0}, "cpu", {}, 1, 0, 64),  # nodes with and without GPUs
        ({"CPU": 64.0, "GPU": 8.0}, "auto", {"gpus_per_worker": 0}, 1, 0, 64),
        ({"CPU": 2.0, "GPU": 1.0}, "auto", {}, 2, 1, 1),
        ({}, "auto", {}, 1, 0, 1),  # a cluster that grows when it is asked for something
    ],
)
def test_of_clusters(
    monkeypatch: pytest.MonkeyPatch,
    cluster: dict[str, float],
    device: str,
    running: dict[str, Any],
    cpus: float,
    gpus: float,
    room: int,
) -> None:
    monkeypatch.setattr("ray.cluster_resources", lambda: cluster)
    found = worker_needs(Running(**running), DeviceSetup(corpus="", device=device))
    assert found == (ActorNeeds(num_cpus=cpus, num_gpus=gpus), room)


@pytest.mark.slow
@pytest.mark.ray
def test_two_workers_share_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To Ray a GPU is a number: this machine needs none."""
    import ray

    from jobs.ray_session import OBJECT_STORE_BYTES

    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    corpus, out = write_corpus(tmp_path / "toy", 6), tmp_path / "run"
    ray.init(
        address="local",
        num_cpus=2,
        num_gpus=1,
        include_dashboard=False,
        object_store_memory=OBJECT_STORE_BYTES,
    )
    try:
        setup = DeviceSetup(corpus=corpus, grounder={"delay_s": 0.02})
        share = Running(cpus_per_worker=1, gpus_per_worker=0.5)
        assert worker_needs(share, setup)[1] == 2
        assert label(setup, str(out), UNIT, share) == 0
        assert len(all_rows(out)) == 6 * UNIT
    finally:
        ray.shutdown()
