"""docs/architecture.md says where things are and names the stops of an export: both are so."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest

import jobs.cli
from tests.jobs.toy_run import toy_rows
from tests.pipeline.folder_run import folder_run

ROOT = Path(jobs.cli.__file__).parents[1]
MOST = 20
_PLACE = re.compile(r"^\| .+ \| `([\w/.]+)` \| `(\w+)` \|$", re.MULTILINE)
_STOP = re.compile(r"^\d+\. `([\w/.]+)` `([\w.]+)`", re.MULTILINE)


def section(title: str) -> str:
    """The text of the page below a heading."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    return re.split(r"^##", page.partition(f"# {title}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


@contextmanager
def followed(stops: list[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    """Collects those stops that are entered, each when it is entered first."""
    places = {(str(ROOT / file), name.rpartition(".")[2]): (file, name) for file, name in stops}
    found: list[tuple[str, str]] = []

    def enter(frame: FrameType, event: str, _: object) -> None:
        stop = places.get((frame.f_code.co_filename, frame.f_code.co_name))
        if event == "call" and stop is not None and stop not in found:
            found.append(stop)

    before = sys.getprofile()
    sys.setprofile(enter)
    try:
        yield found
    finally:
        sys.setprofile(before)


def test_things_are_where_the_page_says() -> None:
    places = _PLACE.findall(section("Where to look"))
    assert len(places) > 10
    for place, name in places:
        path = ROOT / place
        files = path.glob("*.py") if path.is_dir() else [path]
        texts = [file.read_text(encoding="utf-8") for file in files]
        assert any(re.search(rf"^ *(def|class) {name}\b", text, re.MULTILINE) for text in texts), (
            place
        )


def test_the_page_tells_the_way(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = folder_run(tmp_path / "run", toy_rows(tmp_path))
    out = str(tmp_path / "X.jsonl")
    stops = _STOP.findall(section("The way of an export"))
    with followed(stops) as entered:
        assert jobs.cli.main(["export", run.uri, "--format", "odvg", "--out", out]) == 0
    assert entered == stops
    assert len(stops) <= MOST
    assert f"written {out}" in capsys.readouterr().out
