"""What killed exports leave is cleaned by the next; what living ones write is not touched."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pipeline.export.publication import OLD, STAGE, publication
from pipeline.storage.lock_file import alone_in
from schemas.errors import ConfigError

HOLD = """
import sys
from pipeline.export.publication import publication
with publication(sys.argv[1], is_folder=sys.argv[2] == "folder") as made:
    made.file("y.json").write_text("theirs")
    print("staged", flush=True)
    sys.stdin.read()
"""


def hold(out: Path, kind: str) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(out), kind],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "staged\n"
    return child


@pytest.mark.parametrize("mask, folder, file", [(0o077, 0o700, 0o600), (0o022, 0o755, 0o644)])
def test_nobody_reads_more_than_the_umask_lets(
    mask: int, folder: int, file: int, tmp_path: Path
) -> None:
    before = os.umask(mask)
    try:
        with publication(str(tmp_path / "x"), is_folder=True) as made:
            made.file("y.json").write_text("mine")
            assert made.stage.stat().st_mode & 0o777 == 0o700  # not while it is written
    finally:
        os.umask(before)
    assert (tmp_path / "x").stat().st_mode & 0o777 == folder
    assert (tmp_path / "x" / "y.json").stat().st_mode & 0o777 == file


def write_while_another_does(out: Path, *, is_folder: bool) -> None:
    with publication(str(out), is_folder=is_folder) as mine:
        for name in ("x.json", "x-2.json"):
            mine.file(name).write_text("mine")
        with publication(str(out), is_folder=is_folder) as theirs:
            theirs.file("x.json").write_text("theirs")


def test_of_two_exports_the_second_is_refused_and_mixes_nothing(tmp_path: Path) -> None:
    for kind in ("file", "folder"):
        out = tmp_path / ("x.json" if kind == "file" else "x")
        with pytest.raises(ConfigError, match=r"was written meanwhile|exists; give --force"):
            write_while_another_does(out, is_folder=kind == "folder")
        text = out if kind == "file" else out / "x.json"
        assert text.read_text() == "theirs"
        assert not list(tmp_path.rglob("x-2.json"))
        with publication(str(out), is_folder=kind == "folder", force=True) as forced:
            forced.file("x.json").write_text("forced")
        assert text.read_text() == "forced"


def test_a_folder_whose_replacement_was_killed_is_put_back(tmp_path: Path) -> None:
    old = tmp_path / f"{OLD}x"
    old.mkdir()
    (old / "y.json").write_text("old")
    with publication(str(tmp_path / "other.json")) as made:
        made.file("other.json").write_text("{}")
    assert (tmp_path / "x" / "y.json").read_text() == "old"
    assert not old.exists()


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_killed_and_living(kind: str, tmp_path: Path) -> None:
    out = tmp_path / "x.json" if kind == "file" else tmp_path / "x"
    killed, living = hold(out, kind), hold(tmp_path / f"y{out.suffix}", kind)
    killed.kill()
    killed.wait()
    assert len(list(tmp_path.glob(".export-*"))) == 2
    with publication(str(out), is_folder=kind == "folder") as mine:
        mine.file("x.json").write_text("mine")
        assert len(list(tmp_path.glob(".export-*"))) == 2  # the living one's and this
    living.communicate()
    assert living.returncode == 0
    assert not list(tmp_path.glob(".export-*"))
    assert not list(tmp_path.rglob(".lock"))
    text = out if kind == "file" else out / "x.json"
    assert text.read_text() == "mine"


def test_who_looks_for_leftovers_never_sees_a_beginning(tmp_path: Path) -> None:
    """A staging folder without its lock would be taken for a killed export's."""
    begun = threading.Event()

    def export() -> None:
        with publication(str(tmp_path / "x.json")):
            begun.set()

    thread = threading.Thread(target=export)
    with alone_in(tmp_path):
        thread.start()
        assert not begun.wait(0.3)
        assert not list(tmp_path.glob(f"{STAGE}*"))
    thread.join(60)
    assert begun.is_set()
