"""docs/architecture.md names each stop of an export; an export is followed and makes just these."""

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
_STOP = re.compile(r"^\d+\. `([\w/.]+)` `([\w.]+)`", re.MULTILINE)


def told() -> list[tuple[str, str]]:
    """(file, function) of each stop, as the page has them."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    return _STOP.findall(page.partition("## The way of an export")[2].partition("\n## ")[0])


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


def test_the_page_tells_the_way(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = folder_run(tmp_path / "run", toy_rows(tmp_path))
    out = str(tmp_path / "X.jsonl")
    stops = told()
    with followed(stops) as entered:
        assert jobs.cli.main(["export", run.uri, "--format", "odvg", "--out", out]) == 0
    assert entered == stops
    assert len(stops) <= MOST
    assert f"written {out}" in capsys.readouterr().out
