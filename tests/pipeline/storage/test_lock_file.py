from __future__ import annotations

import errno
import fcntl
from pathlib import Path

import pytest

from pipeline.storage.lock_file import try_lock, unlock


def test_of_two_one_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with path.open("a") as one, path.open("a") as two:
        assert try_lock(one)
        assert try_lock(one)
        assert not try_lock(two)
        assert not try_lock(two, shared=True)
        unlock(one)
        assert try_lock(two)
    with path.open("a") as three:  # closing gave it back
        assert try_lock(three)


def test_many_share_it_and_the_last_one_has_it_alone(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with path.open("a") as one, path.open("a") as two:
        assert try_lock(one, shared=True)
        assert try_lock(two, shared=True)
        assert not try_lock(one)
        two.close()
        assert try_lock(one)


def test_a_file_system_without_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(stream: object, kind: int) -> None:
        raise OSError(number, "no")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with (tmp_path / "lock").open("a") as stream:
        number = errno.ENOLCK
        assert try_lock(stream)
        assert "this file system has no locks; start one process only" in caplog.text
        number = errno.EIO
        with pytest.raises(OSError, match="no"):
            try_lock(stream)
