from __future__ import annotations

import os
import subprocess

import pytest
import torch

from model.training.checkpoint import (
    KeepPolicy,
    checkpoint_path,
    list_checkpoints,
    load_checkpoint,
    save_checkpoint,
)
from schemas.errors import ConfigError, DataError


def steps(directory) -> list[int]:
    return [step for step, _ in list_checkpoints(directory)]


def test_a_missing_directory_has_no_checkpoint(tmp_path):
    assert list_checkpoints(tmp_path / "none") == []


def test_state_comes_back(tmp_path):
    state = {"model": {"w": torch.arange(3.0)}, "average": None, "drops": {"box: x": 2}}
    path = save_checkpoint(tmp_path, 7, state, KeepPolicy())
    found = load_checkpoint(path)
    assert found["step"] == 7
    assert torch.equal(found["model"]["w"], torch.arange(3.0))
    assert found["drops"] == {"box: x": 2}


def test_the_policy_keeps_the_newest_and_the_milestones(tmp_path):
    for step in range(10, 110, 10):
        save_checkpoint(tmp_path, step, {}, KeepPolicy(last=2, every=50))
    assert steps(tmp_path) == [50, 90, 100]


def test_leftovers_of_a_killed_writer_are_not_checkpoints_and_go(tmp_path):
    gone = subprocess.Popen(["true"])
    gone.wait()
    leftover = tmp_path / f".step-000000005.pt.{gone.pid}"
    leftover.write_bytes(b"half")
    assert steps(tmp_path) == []
    save_checkpoint(tmp_path, 6, {}, KeepPolicy())
    assert not leftover.exists()


def test_what_a_living_process_writes_stays(tmp_path):
    written = tmp_path / f".step-000000005.pt.{os.getppid()}"
    own = tmp_path / f".step-000000005.pt.{os.getpid()}"  # of one before with the same number
    odd = tmp_path / ".step-000000005.pt.x"
    for path in (written, own, odd):
        path.write_bytes(b"half")
    save_checkpoint(tmp_path, 6, {}, KeepPolicy())
    assert [path.exists() for path in (written, own, odd)] == [True, False, False]


def test_a_broken_file_says_what_comes_of_deleting_it(tmp_path):
    for step in (3, 7):
        checkpoint_path(tmp_path, step).write_bytes(b"half")
    with pytest.raises(DataError, match="Delete it, and the run goes on from step 3, the check"):
        load_checkpoint(checkpoint_path(tmp_path, 7))
    with pytest.raises(DataError, match="Delete it, and the run starts again"):
        load_checkpoint(checkpoint_path(tmp_path, 3))


def test_a_broken_file_is_refused_by_name(tmp_path):
    path = checkpoint_path(tmp_path, 3)
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(DataError, match=r"step-000000003\.pt cannot be read as a checkpoint"):
        load_checkpoint(path)


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    path = checkpoint_path(tmp_path, 3)
    torch.save({"version": 1, "evil": print}, path)
    with pytest.raises(DataError, match="cannot be read as a checkpoint"):
        load_checkpoint(path)


def test_another_version_is_refused(tmp_path):
    path = checkpoint_path(tmp_path, 3)
    torch.save({"version": 9}, path)
    with pytest.raises(DataError, match="has checkpoint version 9; this glipforge reads 1"):
        load_checkpoint(path)


def test_bad_policies_are_refused():
    with pytest.raises(ConfigError, match=r"^last must be a whole number >= 1, got 0"):
        KeepPolicy(last=0)
    with pytest.raises(ConfigError, match=r"^every must be a whole number >= 0, got -1"):
        KeepPolicy(every=-1)
