"""The demo end to end, small: what it prints are commands, what it writes is there."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from jobs.cli import main

SMALL = ["--scenes", "10", "--reviewed", "4", "--steps", "2", "--held-out", "6", "--no-open"]


@pytest.mark.slow
@pytest.mark.fiftyone
def test_the_whole_loop_and_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "demo"
    args = ["demo", "--out", str(out), "--runner", "local", *SMALL]
    assert main(args) == 0
    said = capsys.readouterr().out
    for words in (
        "label",
        "filter",
        "audit",
        "calibrate",
        "review push",
        "review pull",
        "export",
        "pretrain",
        "report",
    ):
        assert f"\n$ glipforge {words} " in said
    assert "14: 11 usable, 3 with a reason" in said
    assert "simulated-reviewer: 4 pairs looked at" in said
    assert "It has never seen a photograph" in said
    assert "drawn labels judged" in said
    # Few labels are all drawn: then the estimate is the truth.
    audited = re.search(r"(\d+) of (\d+) labels drawn and judged: precision ([\d.]+), inter", said)
    true = re.search(r"The truth of all (\d+), which only a drawn world knows: ([\d.]+)\.", said)
    assert audited is not None
    assert true is not None
    assert (audited[1], audited[2], audited[3]) == (true[1], true[1], true[2])
    assert "audited precision" in said.partition("What came of it")[2]
    for name in ("contact-sheet.png", "report.html", "run/_SUCCESS", "exports/goldg.json"):
        assert (out / name).stat().st_size > 0
    assert (out / "student" / "model" / "model.safetensors").is_file()
    figures = json.loads((out / "figures" / "student-held-out-scenes.json").read_text())
    assert figures["recalls"][0]["num_images"] == 6

    assert main(args) == 0  # everything is there: nothing is labelled or trained again
    again = capsys.readouterr().out
    assert ", 0 to do" in again

    assert main([*args, "--seed", "1"]) == 2
    assert "seed: 0 before, now 1" in capsys.readouterr().err


def test_a_folder_that_is_no_demo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine").write_text("")
    assert main(["demo", "--out", str(tmp_path), "--fresh"]) == 2
    assert "is not empty and no demo's" in capsys.readouterr().err
    assert (tmp_path / "mine").exists()


def test_options_are_checked(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--scenes", "0"]) == 2
    assert "scenes must be at least 1, got 0" in capsys.readouterr().err
