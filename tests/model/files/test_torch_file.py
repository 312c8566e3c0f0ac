"""Files of torch on a disk that takes nothing more; /dev/full is such a one."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
import torch

from model.files.torch_file import save_torch, write_torch


def test_a_full_disk_is_the_systems_error(tmp_path: Path) -> None:
    path, state = tmp_path / "step-1.pt", {"a": torch.zeros(30_000)}
    with open("/dev/full", "wb", buffering=0) as full, pytest.raises(OSError, match="No s") as told:
        save_torch(state, full, path)
    assert told.value.errno == errno.ENOSPC
    assert told.value.filename == str(path)


def test_what_is_not_of_the_disk_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(AttributeError, match="pickle"):
        write_torch({"a": lambda: None}, tmp_path / "x.pth")
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_whole(tmp_path: Path) -> None:
    write_torch({"a": torch.arange(3)}, tmp_path / "x.pth")
    assert torch.load(tmp_path / "x.pth", weights_only=True)["a"].tolist() == [0, 1, 2]
