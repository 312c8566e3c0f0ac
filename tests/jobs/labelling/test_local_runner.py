"""Labelling in one process: what a run is, how it goes on, what it refuses."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from jobs.commands.label.label import Running, label
from jobs.labelling.progress import LabelProgress, TooManyFailures
from pipeline.run.status import read_status
from pipeline.run.store import RunStore
from pipeline.storage.errors import StorageFull
from schemas.errors import ConfigError, FingerprintMismatch
from schemas.records import Status
from tests.jobs.fake_label import UNIT, FakeSetup, all_rows, asked, write_corpus
from tests.jobs.labelling.label_process import LOCAL, give_up


def test_every_pair_is_a_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = write_corpus(tmp_path / "toy", 3, captions={4: " ", 9: "it"})
    assert label(FakeSetup(corpus=corpus), str(tmp_path / "run"), UNIT, LOCAL) == 0
    rows = all_rows(tmp_path / "run")
    assert [row.record_id for row in rows] == [f"toy/{n // 8:04d}/{n:05d}" for n in range(24)]
    assert rows[4].status is Status.CAPTION_MISSING
    assert rows[9].status is Status.NO_PHRASES
    said = capsys.readouterr().out
    assert "units    3 of 3 committed" in said
    assert "rows     24: 23 usable, 1 with a reason" in said
    assert "caption_missing           1   e.g. toy/0000/00004: the caption is blank" in said
    assert "next: glipforge filter" in said


@pytest.mark.parametrize(
    "options, environment, threads",
    [({}, {}, 1), ({"cpus_per_worker": 2}, {}, 2), ({}, {"OMP_NUM_THREADS": "3"}, 3)],
)
def test_threads_are_those_of_a_ray_worker(
    options: dict[str, float],
    environment: dict[str, str],
    threads: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import torch

    from jobs.labelling import local_runner

    seen: set[int] = set()
    plain = local_runner._label

    def label_and_look(*args):
        seen.add(torch.get_num_threads())
        return plain(*args)

    monkeypatch.setattr(local_runner, "_label", label_and_look)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    corpus = write_corpus(tmp_path / "toy", 2)
    running = Running(runner="local", **options)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        assert label(FakeSetup(corpus=corpus), str(tmp_path / "run"), UNIT, running) == 0
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    assert seen == {threads}


def test_a_complete_run_is_not_labelled_again(tmp_path: Path) -> None:
    corpus, log = write_corpus(tmp_path / "toy", 2), tmp_path / "log"
    setup = FakeSetup(corpus=corpus, grounder={"log": str(log)})
    for _ in range(2):
        assert label(setup, str(tmp_path / "run"), UNIT, LOCAL) == 0
    assert asked(log) == 16


def test_a_changed_teacher_is_refused_with_both_values(tmp_path: Path) -> None:
    corpus, out = write_corpus(tmp_path / "toy", 1), str(tmp_path / "run")
    label(FakeSetup(corpus=corpus), out, UNIT, LOCAL)
    with pytest.raises(FingerprintMismatch, match=r"teacher.teacher_id.*fake@0.*fake@1.*new --out"):
        label(FakeSetup(corpus=corpus, grounder={"weights": "1"}), out, UNIT, LOCAL)


def test_a_changed_corpus_is_refused_with_its_file(tmp_path: Path) -> None:
    corpus, out = write_corpus(tmp_path / "toy", 2), str(tmp_path / "run")
    label(FakeSetup(corpus=corpus), out, UNIT, LOCAL)
    (tmp_path / "toy" / "0001.tar").unlink()
    with pytest.raises(FingerprintMismatch, match=r"0001\.tar.*not there"):
        label(FakeSetup(corpus=corpus), out, UNIT, LOCAL)


def test_a_worker_with_another_teacher_than_the_driver_stops_the_run(tmp_path: Path) -> None:
    setup = FakeSetup(corpus=write_corpus(tmp_path / "toy", 1), planned={"weights": "7"})
    with pytest.raises(FingerprintMismatch, match="this worker's machine is not the driver's"):
        label(setup, str(tmp_path / "run"), UNIT, LOCAL)


def test_output_that_cannot_be_written(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "toy", 1)
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"out: .*file' is a file; give a folder"):
        label(FakeSetup(corpus=corpus), str(tmp_path / "file"), UNIT, LOCAL)
    with pytest.raises(ConfigError, match="out: cannot write to"):
        label(FakeSetup(corpus=corpus), str(tmp_path / "file" / "run"), UNIT, LOCAL)


def test_a_unit_that_cannot_be_read_fails_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = write_corpus(tmp_path / "toy", 3)
    setup, out = FakeSetup(corpus=corpus), str(tmp_path / "run")
    opened = setup.open_corpus()
    (tmp_path / "toy" / "0001.tar").rename(tmp_path / "away.tar")
    monkeypatch.setattr(FakeSetup, "open_corpus", lambda self: opened)
    assert label(setup, out, UNIT, LOCAL) == 1
    said = capsys.readouterr().err
    assert "unit 0001-" in said
    assert "0001.tar does not exist" in said
    assert "1 of 3 units are not done; the same command tries them again" in said
    assert len(all_rows(out)) == 16
    (tmp_path / "away.tar").rename(tmp_path / "toy" / "0001.tar")
    assert label(setup, out, UNIT, LOCAL) == 0
    assert len(all_rows(out)) == 24


def test_a_full_disk_ends_the_run_before_all_is_labelled_in_vain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus, log, out = write_corpus(tmp_path / "toy", 20), tmp_path / "log", tmp_path / "run"
    setup = FakeSetup(corpus=corpus, grounder={"log": str(log)})

    def full(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("pipeline.run.commit_local.write_synced", full)
        with pytest.raises(StorageFull, match=r"Make room and repeat the command, it goes on"):
            label(setup, str(out), UNIT, LOCAL)
    assert asked(log) <= 4 * UNIT
    assert label(setup, str(out), UNIT, LOCAL) == 0
    assert len(all_rows(out)) == 20 * UNIT


def test_a_hopeless_corpus_is_given_up(tmp_path: Path) -> None:
    from pipeline.run.commit_unit import CommitOutcome
    from schemas.plan import UnitCommit

    commit = UnitCommit(
        unit_id="u",
        plan="p",
        rows_in=1000,
        rows_out=1000,
        status_counts={"ok": 300, "image_missing": 700},
        num_boxes=1,
        files=(),
        attempt="a",
        teacher_id="t",
        seconds={},
        finished_at="",
    )
    progress = LabelProgress(units=[], max_failure_rate=0.7)
    progress.commit(CommitOutcome(won=True, commit=commit))
    progress = LabelProgress(units=[], max_failure_rate=0.69)
    with pytest.raises(TooManyFailures, match=r"700 of 1,000 rows \(70.0%\).*image_missing 700"):
        progress.commit(CommitOutcome(won=True, commit=commit))


def test_a_short_run_of_failures_is_no_success(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus, out = write_corpus(tmp_path / "toy", 1, captions=dict.fromkeys(range(8), "")), "run"
    setup = FakeSetup(corpus=corpus)
    for _ in range(2):  # also where nothing is left to do
        assert label(setup, str(tmp_path / out), UNIT, LOCAL) == 1
        said = capsys.readouterr()
        assert "rows     8: 0 usable, 8 with a reason" in said.out
        assert "next:" not in said.out
        assert (
            "8 of 8 rows (100.0%) could not be labelled, more than --max-failure-rate 90.0%: "
            "caption_missing 8. The run is complete; a higher --max-failure-rate accepts it"
        ) in said.err
    assert RunStore(tmp_path / out).is_complete()
    assert label(setup, str(tmp_path / out), UNIT, replace(LOCAL, max_failure_rate=1)) == 0


def test_a_hopeless_run_ends_early(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    give_up(tmp_path, LOCAL, monkeypatch, capsys)


@pytest.mark.parametrize(
    "options, said",
    [
        ({"attempts": 0}, "attempts must be at least 1, got 0"),
        ({"hang_s": 0}, "hang_s must be a positive number of seconds, got 0"),
        ({"max_failure_rate": 2}, r"max_failure_rate must be in \[0, 1\], got 2"),
        ({"workers": -1}, "workers must be 0 or more, got -1"),
        ({"cpus_per_worker": float("nan")}, "cpus_per_worker must be 0 or more, got nan"),
        ({"gpus_per_worker": -2.0}, "gpus_per_worker must be -1 or more, got -2"),
        ({"hang_s": float("inf")}, "hang_s must be a positive number of seconds, got inf"),
    ],
)
def test_options_are_checked(options, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Running(**options)


def test_status_of_a_half_done_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from jobs.cli import main

    corpus, out = write_corpus(tmp_path / "toy", 3), tmp_path / "run"
    label(FakeSetup(corpus=corpus), str(out), UNIT, LOCAL)
    markers = sorted((out / "_commits").iterdir())
    markers[1].unlink()
    (out / "_SUCCESS").unlink()
    found = read_status(RunStore(out))
    assert (found.complete, found.units_done, found.units) == (False, 2, 3)
    assert found.pending_units == (markers[1].stem,)
    capsys.readouterr()
    assert main(["status", str(out)]) == 0
    said = capsys.readouterr().out
    assert "not complete and nobody works on it" in said
    assert f"next     {markers[1].stem}" in said
    assert main(["status", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 16
    assert main(["status", str(tmp_path)]) == 2
    assert "is not a labelling run: it has no _plan.json" in capsys.readouterr().err
