"""What a labelling says while it works."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from jobs.labelling.progress import LabelProgress
from jobs.labelling.worker import _Asked, _Watched
from pipeline.run.commit_unit import CommitOutcome
from pipeline.run.store import RunStore
from schemas.plan import Unit
from tests.jobs.fake_label import UNIT, FakeSetup, write_corpus


@pytest.fixture
def outcome(tmp_path: Path) -> CommitOutcome:
    from jobs.commands.label.label import Running, label

    corpus = write_corpus(tmp_path / "toy", 1, captions={3: ""})
    label(FakeSetup(corpus=corpus), str(tmp_path / "run"), UNIT, Running(runner="local"))
    (commit,) = RunStore(tmp_path / "run").commits().values()
    return CommitOutcome(won=True, commit=commit)


@pytest.mark.parametrize("width", [40, 200])
def test_a_bar_never_wider_than_the_terminal(
    outcome: CommitOutcome,
    width: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    capsys.readouterr()
    progress = LabelProgress(units=[None] * 4)  # type: ignore[list-item]
    progress.tell()
    progress.start_clock()
    progress.commit(outcome)
    progress.tell(now=True)
    lines = [line for line in re.split(r"[\r\n]+", _plain(capsys.readouterr().err)) if line]
    assert "loading the teach" in lines[0]
    assert re.match(r"━+\S*\s+25% units 1/4", lines[-1])
    assert max(map(len, lines)) <= width
    assert ("caption_missing 1" in lines[-1]) == (width == 200)


def test_what_is_printed_beside_a_bar_is_not_lost(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """stdout into a file stays whole, and has nothing of the bar."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    stderr = sys.stderr
    progress = LabelProgress(units=[None] * 4)  # type: ignore[list-item]
    progress.tell()
    print("to a file")
    print("a warning", file=sys.stderr)
    progress.tell(now=True)
    shown = capsys.readouterr()
    assert shown.out == "to a file\n"
    assert "a warning" in _plain(shown.err)
    assert sys.stderr is stderr


def _plain(text: str) -> str:
    """The text of a terminal without its control sequences."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def test_lines_in_a_log(outcome: CommitOutcome, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    progress = LabelProgress(units=[None] * 4)  # type: ignore[list-item]
    progress.start_clock()
    progress.commit(outcome)  # the first line comes at once, the next after ten seconds
    progress.commit(outcome)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("units 1/4  rows 8  boxes ")
    assert "images/s  left " in line
    assert line.endswith("caption_missing 1")


def test_rows_within_a_unit(capsys: pytest.CaptureFixture[str]) -> None:
    """One unit of 512 pairs and a slow teacher: a number that moves, and a time that is left."""
    unit = Unit(unit_id="u", uri="x", kind="k", start=0, stop=1, num_records=512)
    progress = LabelProgress(units=[unit])
    progress.start_clock()
    assert "left" not in progress.line()
    progress.under_way = 128
    assert "units 0/1  rows 0  under way 128  boxes 0" in progress.line()
    assert "images/s  left " in progress.line()
    assert progress.share_done() == 0.25


def test_a_call_that_is_under_way_is_counted_by_its_batches(tmp_path: Path) -> None:
    seen = []

    class Slow:
        teacher_id = "slow"

        def ground(self, requests):  # four batches of two
            for _ in range(4):
                watched.beat()
                seen.append(asked.rows())
            return [None] * len(requests)

    watched = _Watched(Slow())  # type: ignore[arg-type]
    asked = _Asked(watched, 2)
    asked.ground([None] * 7)  # type: ignore[list-item]
    assert seen == [0, 2, 4, 6]
    assert asked.rows() == 7
