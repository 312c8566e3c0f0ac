"""A Ray cluster of several nodes on this machine, and what can be killed of it."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psutil

NODES = 2
"""Besides the head, which takes no worker."""
NODE_ATTEMPTS = 5
_log = logging.getLogger(__name__)


def ray_workers(title: str) -> list[psutil.Process]:
    """Workers of the Rays of this process, by how their title begins.

    Others may run on this machine; and a process may end while it is looked at.
    """
    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if " ".join(process.cmdline()).startswith(title):
                found.append(process)
    return sorted(found, key=lambda process: process.pid)


def label_workers() -> list[psutil.Process]:
    """Processes that label now, or load what they need for it."""
    return ray_workers("ray::LabelActor")


def kill(process: psutil.Process) -> bool:
    """True where it was alive."""
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return False
    return True


@contextmanager
def small_cluster() -> Iterator[Any]:
    """A head without room for workers, and nodes of one CPU, on this machine."""
    from ray.cluster_utils import Cluster

    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 0, "object_store_memory": 100_000_000},
    )
    try:
        for _ in range(NODES):
            add_node(cluster)
        yield cluster
    finally:
        cluster.shutdown()


def add_node(cluster: Any) -> None:
    """A node of one CPU; tried again where the machine is too busy to start it in time."""
    for left in reversed(range(NODE_ATTEMPTS)):
        try:
            cluster.add_node(num_cpus=1, object_store_memory=100_000_000)
            return
        except Exception as error:  # Ray raises this type
            if left == 0 or "timed out" not in str(error).lower():
                raise
            _log.info("a node did not start in time: %s", error)
            time.sleep(5)
