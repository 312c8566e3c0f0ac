"""A training of a toy network, as the command line starts it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import torch

from model.files.directory import read_weights
from model.training.checkpoint import list_checkpoints

TOY = {
    "preset": "glip-toy",
    "network": {"drop_path": 0.15},
    "train": {
        "steps": 12,
        "batch_size": 4,
        "precision": "fp32",
        "optimizer": {"rate": 1e-3},
        "schedule": {"kind": "cosine", "warmup_steps": 2},
        "log_every": 4,
        "checkpoint_every": 4,
    },
    "mixture": {"augment": {"crop_share": 0.3, "light": 0.2}},
    "cache_side": 64,
}


def arguments(recipe: Path, gold: tuple[Path, Path], out: Path, *more: str) -> list[str]:
    files = [word for path in gold for word in ("--gold", str(path))]
    options = ["--trackers", "tensorboard", "--threads", "1", "--device", "cpu"]
    return [
        "pretrain",
        "--recipe",
        str(recipe),
        *files,
        "--out",
        str(out),
        *options,
        *more,
    ]


def weights_of(out: Path) -> dict[str, torch.Tensor]:
    return read_weights(out / "model")


def assert_same_model(a: Path, b: Path) -> None:
    one, two = weights_of(a), weights_of(b)
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)


def start(arguments_: list[str]) -> subprocess.Popen:
    command = [sys.executable, "-m", "jobs", *arguments_]
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )


def wait_for_checkpoint(process: subprocess.Popen, out: Path, step: int) -> None:
    deadline = time.monotonic() + 600
    while not any(at >= step for at, _ in list_checkpoints(out / "checkpoints")):
        assert process.poll() is None, f"the run ended before its checkpoint of step {step}"
        assert time.monotonic() < deadline
        time.sleep(0.02)
