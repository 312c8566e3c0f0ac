"""What killed exports leave is cleaned by the next; what living ones write is not touched."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.export.publication import publication

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
