"""A file gets its name once, also where the file system has no hard links."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from pipeline.storage import exclusive
from pipeline.storage.errors import StorageFull
from pipeline.storage.exclusive import place_exclusively
from pipeline.storage.files import create_bytes, write_bytes


@pytest.fixture(params=[None, errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EXDEV])
def links(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system with hard links, and some without."""
    if request.param is not None:

        def refuse(*args: object, **kwargs: object) -> None:
            raise OSError(request.param, os.strerror(request.param))

        monkeypatch.setattr(os, "link", refuse)


@pytest.mark.usefixtures("links")
def test_one_of_many_writers_wins(tmp_path: Path) -> None:
    path = tmp_path / "x" / "marker.json"
    for _ in range(5):
        path.unlink(missing_ok=True)
        won: list[bytes] = []
        start = threading.Barrier(8)

        def write(number: int, won: list[bytes] = won, start: threading.Barrier = start) -> None:
            data = b"%d" % number * 1000
            start.wait()
            if create_bytes(str(path), data):
                won.append(data)

        threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert won == [path.read_bytes()]
        assert os.listdir(path.parent) == ["marker.json"]


@pytest.mark.usefixtures("links")
def test_a_file_that_is_there_stays(tmp_path: Path) -> None:
    path = tmp_path / "marker.json"
    path.write_bytes(b"old")
    assert not create_bytes(str(path), b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["marker.json"]


def test_a_claim_of_a_killed_writer_is_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exclusive, "CLAIM_STALE_S", 0.2)

    def refuse(*args: object) -> None:
        raise OSError(errno.ENOSYS, "no")

    monkeypatch.setattr(os, "link", refuse)
    (tmp_path / ".marker.json.claim").touch()
    staged = tmp_path / "staged"
    staged.write_bytes(b"data")
    assert place_exclusively(staged, tmp_path / "marker.json")
    assert os.listdir(tmp_path) == ["marker.json"]


def test_another_error_is_no_reason_to_go_round(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        place_exclusively(tmp_path / "nowhere", tmp_path / "x")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_disk_that_takes_nothing_is_a_sentence(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    for write in (write_bytes, create_bytes):
        with pytest.raises(StorageFull) as caught:
            write(str(tmp_path / "x"), b"data")
        assert str(tmp_path) in str(caught.value)
        assert os.listdir(tmp_path) == []
