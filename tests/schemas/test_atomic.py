"""A file is the old one or all of the new one, and nothing is left beside it."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from schemas.atomic import beside, replacing, write_synced, write_whole


def test_folders_are_made_and_older_files_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file.json"
    write_whole(path, b"one")
    write_whole(path, b"two")
    assert path.read_bytes() == b"two"
    assert os.listdir(path.parent) == ["file.json"]


def test_a_writer_that_fails_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_whole(path, b"old")
    with pytest.raises(TypeError, match="bytes-like"), replacing(path) as stream:
        stream.write("half")  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_writers_at_once_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "file"
    contents = [bytes([number]) * 100_000 for number in range(8)]
    threads = [threading.Thread(target=write_whole, args=(path, data)) for data in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_bytes() in contents
    assert os.listdir(tmp_path) == ["file"]


def test_the_name_beside_ends_with_the_process(tmp_path: Path) -> None:
    with beside(tmp_path / "x.pt") as staged:
        write_synced(staged, b"1")
        assert staged.name.startswith(".x.pt.")
        assert staged.name.rpartition(".")[2] == str(os.getpid())
    assert os.listdir(tmp_path) == []
