"""Two workers of Ray Train, and the death of one."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from jobs.cli import main
from model.files.pretrained import load_pretrained
from model.training.journal import read_log
from tests.jobs.commands.train.toy_training import (
    TOY,
    arguments,
    assert_same_model,
    start,
    wait_for_checkpoint,
)
from tests.jobs.shapes import write_shapes

LONGER = ("--steps", "24")


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory) -> tuple[Path, Path]:
    """(folder of recipe and gold, finished run) of two workers, with paths that are relative: a
    worker of Ray stands in a folder of its own."""
    folder = tmp_path_factory.mktemp("two")
    write_shapes(folder / "gold", 16)
    (folder / "toy.json").write_text(json.dumps(TOY))
    files = (Path("gold") / "grounding.json", Path("gold") / "coco.json")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        command = arguments(Path("toy.json"), files, folder / "run", *LONGER, "--workers", "2")
        assert main(command) == 0
    return folder, folder / "run"


@pytest.mark.slow
@pytest.mark.ray
def test_two_workers_of_ray_train(two_workers) -> None:
    _, run = two_workers
    assert load_pretrained(run / "model").config.preset == "glip-toy"
    assert [entry["step"] for entry in read_log(run / "log.jsonl")][-1] == 24


@pytest.mark.slow
@pytest.mark.ray
def test_ray_train_survives_the_death_of_a_worker(two_workers, tmp_path) -> None:
    folder, run = two_workers
    out = tmp_path / "run"
    files = (folder / "gold" / "grounding.json", folder / "gold" / "coco.json")
    process = start(arguments(folder / "toy.json", files, out, *LONGER, "--workers", "2"))
    wait_for_checkpoint(process, out, 4)
    state = json.loads((out / "train.json").read_text())
    assert state["status"] == "running"
    os.kill(state["pid"], signal.SIGKILL)
    assert process.wait(600) == 0
    again = json.loads((out / "train.json").read_text())
    assert again["first_step"] >= 4
    assert again["pid"] != state["pid"]
    assert_same_model(out, run)
