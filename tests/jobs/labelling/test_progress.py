"""What a labelling says while it works."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from jobs.labelling.progress import LabelProgress
from pipeline.run.commit_unit import CommitOutcome
from pipeline.run.store import RunStore
from tests.jobs.fake_label import UNIT, FakeSetup, write_corpus


@pytest.fixture
def outcome(tmp_path: Path) -> CommitOutcome:
    from jobs.commands.label import Running, label

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
    capsys.readouterr()
    progress = LabelProgress(units=[None] * 4)  # type: ignore[list-item]
    progress.tell()
    progress.start_clock()
    progress.commit(outcome)
    progress.tell(now=True)
    shown = capsys.readouterr().err
    assert shown.startswith("\r\x1b[2Kloading the teacher, 0 s")
    last = shown.removesuffix("\n").split("\r\x1b[2K")[-1]
    assert last.startswith("[#####---------------]  25%  units 1/4")
    assert len(last) < width
    assert ("caption_missing 1" in last) == (width == 200)


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
