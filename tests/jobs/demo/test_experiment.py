"""The experiment end to end, tiny: no figure means anything, every step is real."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jobs.cli import main

TINY = ["--gold-scenes", "8", "--web-scenes", "8", "--held-out", "4", "--steps", "2"]


@pytest.mark.slow
def test_all_of_it_and_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "experiment"
    args = ["demo", "experiment", "--out", str(out), "--runner", "local", "--seeds", "0", "1"]
    args += ["--at-once", "2", "--threads", "1"]
    assert main([*args, *TINY, "--batch-size", "4"]) == 0
    said = capsys.readouterr().out
    for words in ("phrase R@1", "AP50", "gain of each seed", "results.svg"):
        assert words in said
    found = json.loads((out / "results.json").read_text())
    assert {kind: len(models) for kind, models in found.items()} == {
        "teacher": 1,
        "control": 2,
        "student": 2,
    }
    for part in ("seen", "web", "never", "new-style"):
        figures = found["student"][1][part]
        assert 0 <= figures["r1"]["value"] <= 1
        assert 0 <= figures["r1"]["chance"] <= 1
        assert figures["ap50"]["chance"] is not None
    control = json.loads((out / "control.json").read_text())
    student = json.loads((out / "student.json").read_text())
    assert [source["name"] for source in student["sources"]] == ["captions", "names", "labels"]
    assert control["train"] == student["train"]
    assert main([*args, *TINY, "--batch-size", "4", "--rounds", "1"]) == 0
    again = capsys.readouterr().out
    assert "evaluate --teacher" in again
    assert "evaluate --teacher shipped" not in again  # only what is new is measured
    assert json.loads((out / "results.json").read_text())["round 2"][0]["model"].startswith("round")
    assert main([*args, *TINY, "--batch-size", "2"]) == 2
    assert "--batch-size: 4 before, now 2" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options, said",
    [
        (["--steps", "0"], "steps must be at least 1, got 0"),
        (["--seeds", "1", "1"], "seeds must be different numbers"),
    ],
)
def test_options_are_checked(options, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "experiment", *options]) == 2
    assert said in capsys.readouterr().err
