from __future__ import annotations

import os

from jobs.training_run import LOADERS_PER_GPU, Machine, num_loaders


def test_loaders_are_asked_for_or_fit_the_machine(monkeypatch) -> None:
    assert num_loaders(Machine(loader_processes=7), "cpu") == 7
    assert num_loaders(Machine(loader_processes=0), "cuda") == 0
    assert num_loaders(Machine(), "cpu") == 0
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert num_loaders(Machine(), "cuda") == LOADERS_PER_GPU
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    assert num_loaders(Machine(), "cuda") == 1
