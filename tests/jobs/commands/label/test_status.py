"""What `glipforge status` says of a labelling, beyond the counts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from jobs.commands.label.label import Running, label
from jobs.commands.label.status import print_status
from pipeline.run.lock_holder import LockHolder
from pipeline.run.status import read_status
from pipeline.run.store import RunStore
from tests.jobs.fake_label import UNIT, FakeSetup, write_corpus

HOLDER = LockHolder(pid=7, host="node-3", silent_s=340.0)


@pytest.fixture
def half_done(tmp_path: Path) -> RunStore:
    """Two of three units are committed."""
    corpus, out = write_corpus(tmp_path / "toy", 3), tmp_path / "run"
    label(FakeSetup(corpus=corpus), str(out), UNIT, Running(runner="local"))
    sorted((out / "_commits").iterdir())[1].unlink()
    (out / "_SUCCESS").unlink()
    return RunStore(out)


@pytest.mark.parametrize(
    "is_driven, said",
    [
        (True, "process 7 on node-3 works on it"),
        (False, "not complete; process 7 on node-3 gave no sign of life for 340 s and is probably"),
    ],
)
def test_a_driver_that_is_silent_is_not_called_alive(
    half_done: RunStore, capsys: pytest.CaptureFixture[str], is_driven: bool, said: str
) -> None:
    capsys.readouterr()
    found = replace(read_status(half_done), driver=HOLDER, is_driven=is_driven)
    print_status(found)
    assert said in capsys.readouterr().out


def test_writing_is_part_of_what_a_unit_took(half_done: RunStore) -> None:
    found = read_status(half_done)
    spent = [c.seconds["total"] + c.seconds["write"] for c in half_done.commits().values()]
    assert found.rows_per_worker_second == pytest.approx(2 * UNIT / sum(spent), rel=0.01)
    assert [unit.seconds for unit in found.slowest_units] == pytest.approx(
        sorted(spent, reverse=True), abs=1e-3
    )


def test_batches_that_were_asked_again_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus, out = write_corpus(tmp_path / "toy", 2), tmp_path / "run"
    setup = FakeSetup(corpus=corpus, grounder={"spoil_on": "dog"})
    label(setup, str(out), UNIT, Running(runner="local"))
    said = capsys.readouterr().out
    assert "retried  teacher: 2 batches failed and were asked again one pair at a time; the" in said
    run = RunStore(out)
    assert [c.batch_failures[0].batches for c in run.commits().values()] == [1, 1]
    (failure,) = read_status(run).batch_failures
    assert failure.first.startswith("RuntimeError: the fake grounder cannot answer")
