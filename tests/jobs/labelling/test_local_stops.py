"""A labelling in one process that is killed, stopped or hangs, and goes on."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from pathlib import Path

import pytest

from jobs.commands.label.label import label
from pipeline.run.status import read_status
from pipeline.run.store import RunStore
from schemas.errors import ConfigError
from tests.jobs.fake_label import UNIT, FakeSetup, all_rows, asked, write_corpus
from tests.jobs.labelling.label_process import LOCAL, start, stop_and_go_on, wait_for_units
from tests.pipeline.run.steps import STEPS_LOCAL


@pytest.mark.slow
def test_a_killed_driver_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    corpus, out, log = write_corpus(tmp_path / "toy", 30), tmp_path / "run", tmp_path / "log"
    grounder = {"delay_s": 0.01, "log": str(log)}
    args = [corpus, str(out), json.dumps(grounder), '{"runner": "local"}']
    rng = random.Random(5)
    kills = 0
    for target in (2, 8, 15, 22):
        process = start(args)
        wait_for_units(out, target, process)
        time.sleep(rng.uniform(0, 0.05))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            kills += 1
        process.wait()
    assert start(args).wait() == 0
    assert kills >= 3
    whole = tmp_path / "whole"
    assert label(FakeSetup(corpus=corpus), str(whole), UNIT, LOCAL) == 0
    assert all_rows(out) == all_rows(whole)
    assert RunStore(out).is_complete()
    # Each kill costs at most the units that were under way: two in a worker.
    assert asked(log) <= 30 * UNIT + kills * 2 * UNIT


@pytest.mark.slow
def test_a_second_driver_is_refused_and_ctrl_c_keeps_what_is_done(tmp_path: Path) -> None:
    corpus, out = write_corpus(tmp_path / "toy", 20), tmp_path / "run"
    args = [corpus, str(out), json.dumps({"delay_s": 0.1}), '{"runner": "local"}']
    process = start(args)
    wait_for_units(out, 2, process)
    with pytest.raises(ConfigError, match=f"being labelled by another driver .*{process.pid}"):
        label(FakeSetup(corpus=corpus), str(out), UNIT, LOCAL)
    found = read_status(RunStore(out))
    assert found.driver is not None
    assert found.driver.pid == process.pid
    stop_and_go_on(process, signal.SIGINT, out, [*args[:2], "{}", args[3]])


@pytest.mark.slow
def test_sigterm_ends_as_ctrl_c_does(tmp_path: Path) -> None:
    corpus, out = write_corpus(tmp_path / "toy", 20), tmp_path / "run"
    args = [corpus, str(out), json.dumps({"delay_s": 0.1}), '{"runner": "local"}']
    process = start(args)
    wait_for_units(out, 2, process)
    stop_and_go_on(process, signal.SIGTERM, out, [*args[:2], "{}", args[3]])


def test_a_hang_ends_the_run_in_a_sentence(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "c", 3, captions={9: "a dog that hangs"})
    out = tmp_path / "run"
    options = json.dumps({"runner": "local", "hang_s": 2.5})
    process = start([corpus, str(out), json.dumps({"hang_on": "hangs"}), options])
    _, said = process.communicate(timeout=300)
    assert process.returncode == 1
    assert b"no progress for 2.5 s (--hang-s) with " in said
    assert b"Traceback" not in said
    assert label(FakeSetup(corpus=corpus), str(out), UNIT, LOCAL) == 0
    assert len(all_rows(out)) == 3 * UNIT


def test_a_process_that_dies_in_each_step_of_a_commit(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "c", 8, captions={9: ""})
    out, armed = tmp_path / "run", tmp_path / "armed"
    armed.mkdir()
    args = [corpus, str(out), json.dumps({"die_in_commit": str(armed)}), '{"runner": "local"}']
    for step in STEPS_LOCAL:
        (armed / step).touch()
        assert start(args).wait(300) == -signal.SIGKILL, step
        assert not (armed / step).exists()
    assert start(args).wait(300) == 0
    assert len(all_rows(out)) == 8 * UNIT
