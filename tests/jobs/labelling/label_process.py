"""A labelling as a process of its own, to stop and start again; and one that gives up."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from jobs.commands.label.label import Running, label
from jobs.labelling.progress import TooManyFailures
from pipeline.run.status import read_status
from pipeline.run.store import RunStore
from tests.jobs.fake_label import UNIT, FakeSetup, all_rows, write_corpus

LOCAL = Running(runner="local")


def start(args: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.jobs.fake_label", *args],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def wait_for_units(out: Path, number: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline and process.poll() is None:
        if len(list((out / "_commits").glob("*.json"))) >= number:
            return
        time.sleep(0.02)


def stop_and_go_on(
    process: subprocess.Popen[bytes], number: signal.Signals, out: Path, args: list[str]
) -> None:
    """End a labelling of 20 units as a terminal or a scheduler does, and start it again."""
    os.killpg(process.pid, number)
    _, said = process.communicate(timeout=200)
    assert process.returncode == 130, said.decode()
    told = re.search(
        r"stopped: (\d+) units committed since the start; the same command goes", str(said)
    )
    assert "Traceback" not in str(said)
    done = RunStore(out).commits()
    # Those that the driver did not hear of count too; a worker may end one more behind it.
    assert told is not None
    assert 2 <= int(told[1]) <= len(done) < 20
    assert read_status(RunStore(out)).driver is None
    assert start(args).wait() == 0
    assert len(all_rows(out)) == 20 * UNIT
    found = RunStore(out).commits()
    assert {unit_id: found[unit_id] for unit_id in done} == done, "what was done was done again"


def give_up(
    tmp_path: Path,
    running: Running,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A corpus whose pairs are mostly rotten: the run ends early, says why, and can go on."""
    monkeypatch.setattr("jobs.labelling.progress.RATE_COUNTS_FROM", 40)
    corpus = write_corpus(tmp_path / "toy", 30, captions={n: "" for n in range(240) if n % 8 > 2})
    setup, out = FakeSetup(corpus=corpus, grounder={"delay_s": 0.005}), tmp_path / "run"
    with pytest.raises(TooManyFailures, match=r"25 of 40 rows \(62.5%\).*caption_missing 25"):
        label(setup, str(out), UNIT, replace(running, max_failure_rate=0.5))
    said = capsys.readouterr().err
    assert re.search(r"given up: [5-9] units committed since the start; the same command", said)
    assert 5 <= len(RunStore(out).commits()) < 30
    assert read_status(RunStore(out)).statuses["caption_missing"] >= 25
    assert label(setup, str(out), UNIT, replace(running, max_failure_rate=1)) == 0
    assert len(all_rows(out)) == 240
