from __future__ import annotations

import errno
import os
import resource
import subprocess

import pytest
import torch

from model.training.checkpoint import (
    KeepPolicy,
    checkpoint_path,
    list_checkpoints,
    load_checkpoint,
    load_newest,
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


def test_a_full_disk_is_said_by_the_system_not_by_torch(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8000, hard))
    try:
        with pytest.raises(OSError, match="too large") as caught:
            save_checkpoint(tmp_path, 1, {"x": torch.zeros(9000), "y": torch.ones(9)}, KeepPolicy())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.errno == errno.EFBIG
    assert not list(tmp_path.iterdir())


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    path = checkpoint_path(tmp_path, 3)
    torch.save({"version": 1, "evil": print}, path)
    with pytest.raises(DataError, match="cannot be read as a checkpoint"):
        load_checkpoint(path)


def test_another_version_is_refused(tmp_path):
    path = checkpoint_path(tmp_path, 3)
    torch.save({"version": 9}, path)
    with pytest.raises(DataError, match="has checkpoint version 9; this glipforge reads 2"):
        load_checkpoint(path)


def test_bad_policies_are_refused():
    with pytest.raises(ConfigError, match=r"^last must be a whole number >= 1, got 0"):
        KeepPolicy(last=0)
    with pytest.raises(ConfigError, match=r"^every must be a whole number >= 0, got -1"):
        KeepPolicy(every=-1)


def test_no_flipped_byte_becomes_other_weights(tmp_path):
    weights = torch.arange(40.0)
    path = save_checkpoint(tmp_path, 3, {"model": {"w": weights}}, KeepPolicy())
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        with pytest.raises(DataError, match=r"step-000000003\.pt cannot be read"):
            load_checkpoint(path)
    path.write_bytes(whole)
    assert torch.equal(load_checkpoint(path)["model"]["w"], weights)


def test_a_file_of_an_older_version_has_no_digest_and_is_read(tmp_path):
    path = checkpoint_path(tmp_path, 3)
    torch.save({"version": 1, "step": 3, "at": "old"}, path)
    assert load_checkpoint(path)["at"] == "old"


def test_a_damaged_one_gives_way_to_the_one_before_and_says_so(tmp_path):
    said: list[str] = []
    assert load_newest(tmp_path, said.append) is None
    save_checkpoint(tmp_path, 3, {"at": 3}, KeepPolicy())
    newest = save_checkpoint(tmp_path, 7, {"at": 7}, KeepPolicy())
    assert load_newest(tmp_path, said.append)[2]["at"] == 7
    assert said == []
    newest.write_bytes(newest.read_bytes()[:-40])
    step, path, state = load_newest(tmp_path, said.append)
    assert (step, path.name, state["at"]) == (3, "step-000000003.pt", 3)
    assert "step-000000007.pt cannot be read" in said[0]
    assert "goes on from step 3 by itself" in said[0]
    path.write_bytes(b"")
    with pytest.raises(DataError, match="step-000000003"):
        load_newest(tmp_path, said.append)
