"""Labelling on a real local Ray: equal rows, dead and hanging workers, `ray job submit`."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from jobs.commands.label.label import Running, label
from jobs.ray_session import ray_session
from pipeline.run.object_lock import LockLost
from pipeline.run.store import RunStore
from schemas.errors import ConfigError, GlipforgeError
from schemas.records import Status
from tests.faulty_store import BUCKET, Fault, FaultyStore, faulty_store
from tests.jobs.fake_label import UNIT, FakeSetup, all_rows, write_corpus
from tests.jobs.labelling.label_process import (
    LOCAL,
    give_up,
    start,
    stop_and_go_on,
    wait_for_units,
)
from tests.jobs.labelling.test_retry import write_lines
from tests.jobs.lost_lock import lose_the_lock
from tests.jobs.small_cluster import kill, label_workers, ray_workers
from tests.pipeline.corpus.corpora import picture

pytestmark = [pytest.mark.slow, pytest.mark.ray]
RAY = Running(workers=2, cpus_per_worker=1)


@pytest.fixture(scope="module", autouse=True)
def store() -> Iterator[FaultyStore]:
    """An object store that workers know, since Ray starts after it."""
    with faulty_store() as store, ray_session(num_cpus=3):
        yield store


def test_rows_equal_those_of_the_local_runner(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "toy", 6, captions={4: "", 9: "it", 17: "x" * 20_000})
    setup = FakeSetup(corpus=corpus)
    assert label(setup, str(tmp_path / "ray"), UNIT, RAY) == 0
    assert label(setup, str(tmp_path / "local"), UNIT, LOCAL) == 0
    assert all_rows(tmp_path / "ray") == all_rows(tmp_path / "local")
    for folder in ("annotations", "quarantine"):
        written = {
            run: {p.name: p.read_bytes() for p in sorted((tmp_path / run / folder).iterdir())}
            for run in ("ray", "local")
        }
        assert written["ray"] == written["local"]


def test_a_lock_that_another_took_stops_the_driver_and_its_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    setup = FakeSetup(corpus=write_corpus(tmp_path / "toy", 4), grounder={"delay_s": 0.05})
    out = str(tmp_path / "run")
    with monkeypatch.context() as other:
        lose_the_lock(other)
        with pytest.raises(LockLost, match=r"process 9 on there.* being labelled by that one"):
            label(setup, out, UNIT, RAY)
    assert "the same command goes on" in capsys.readouterr().err
    assert not RunStore(out).is_complete()
    assert label(setup, out, UNIT, LOCAL) == 0
    assert len(all_rows(out)) == 4 * UNIT


def test_object_stores_that_fail_now_and_then(
    store: FaultyStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The real command: corpus and run on a store, on Ray; equal to disks and one process."""
    import torch

    from jobs.cli import main
    from pipeline.storage.files import write_bytes

    write_corpus(tmp_path / "toy", 4, captions={5: "", 17: "a red hat\0"})
    for path in (tmp_path / "toy").iterdir():
        write_bytes(f"s3://{BUCKET}/toy/{path.name}", path.read_bytes())
    faults = [
        Fault(method="GET", within="0002.tar", status=503, times=2),
        Fault(method="GET", within="0001.tar", status=0),
        Fault(method="PUT", within="/annotations/", status=500, times=2),
        Fault(method="PUT", within="/_commits/", status=409),
        Fault(method="PUT", within="/_commits/", status=503, is_late=True),
    ]
    store.faults += faults
    outs = {"s3": f"s3://{BUCKET}/run", "disk": str(tmp_path / "run")}
    tars = f"s3://{BUCKET}/toy/{{0000..0003}}.tar"
    words = ["--records-per-unit", str(UNIT)]
    said = [*words, "--corpus", tars, "--out", outs["s3"], "--workers", "1"]
    assert main(["label", *said]) == 0
    assert [fault.done for fault in faults] == [fault.times for fault in faults]
    assert f"run      {outs['s3']}: complete" in capsys.readouterr().out
    folder = str(tmp_path / "toy")
    said = [*words, "--corpus", folder, "--out", outs["disk"], "--runner", "local"]
    before = torch.get_num_threads()
    assert main(["label", *said]) == 0  # with the threads of a worker: all digits are equal
    assert torch.get_num_threads() == before
    rows = {
        name: [
            replace(row, image_uri=row.image_uri and row.image_uri.rpartition("/")[2])
            for row in all_rows(out)
        ]
        for name, out in outs.items()
    }
    assert len(rows["s3"]) == 32
    assert rows["s3"] == rows["disk"]
    assert main(["status", outs["s3"], "--json"]) == 0


def test_a_record_that_kills_its_worker_costs_itself(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "toy", 5, captions={19: "a deadly dog"})
    setup = FakeSetup(corpus=corpus, grounder={"die_on": "deadly"})
    assert label(setup, str(tmp_path / "run"), UNIT, RAY) == 0
    rows = all_rows(tmp_path / "run")
    assert len(rows) == 40
    (bad,) = [row for row in rows if row.status.is_quarantined]
    assert bad.record_id == "toy/0002/00019"
    assert bad.status is Status.WORKER_CRASH
    assert "its worker process ended when it was labelled alone" in bad.detail
    healthy = FakeSetup(corpus=corpus)
    label(healthy, str(tmp_path / "whole"), UNIT, LOCAL)
    others = [row for row in all_rows(tmp_path / "whole") if row.record_id != bad.record_id]
    assert [row for row in rows if row is not bad] == others


def test_a_record_that_never_comes_back_costs_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.labelling.ray_runner.ASK_BEATS_EVERY_S", 0.5)
    # Long enough for a busy machine to decode the others, and so waited for once less.
    monkeypatch.setattr("jobs.labelling.ray_runner.LONE_DEATHS", 1)
    corpus = write_corpus(tmp_path / "toy", 2, captions={3: "an endless dog"})
    setup = FakeSetup(corpus=corpus, grounder={"hang_on": "endless"})
    running = Running(workers=1, cpus_per_worker=1, hang_s=7)
    assert label(setup, str(tmp_path / "run"), UNIT, running) == 0
    (bad,) = [row for row in all_rows(tmp_path / "run") if row.status.is_quarantined]
    assert (bad.record_id, bad.status) == ("toy/0000/00003", Status.WORKER_HANG)
    assert "no answer within 7 s" in bad.detail


def test_a_call_that_takes_long_is_no_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large teacher on a CPU: its batches are signs of life."""
    monkeypatch.setattr("jobs.labelling.ray_runner.ASK_BEATS_EVERY_S", 0.5)
    setup = FakeSetup(corpus=write_corpus(tmp_path / "toy", 1), grounder={"delay_s": 1.0})
    running = Running(workers=1, cpus_per_worker=1, hang_s=7)
    assert label(setup, str(tmp_path / "run"), UNIT, running) == 0
    assert not [row for row in all_rows(tmp_path / "run") if row.status.is_quarantined]


def test_an_exception_of_the_teacher_blames_its_record_alone(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "toy", 2, captions={3: "a broken dog"})
    setup = FakeSetup(corpus=corpus, grounder={"raise_on": "broken"})
    assert label(setup, str(tmp_path / "run"), UNIT, RAY) == 0
    (bad,) = [row for row in all_rows(tmp_path / "run") if row.status.is_quarantined]
    assert bad.status is Status.TEACHER_FAILED


def test_a_worker_that_is_killed_is_replaced(tmp_path: Path) -> None:
    """kill -9 on worker processes, as the system does when memory runs out."""
    corpus, out = write_corpus(tmp_path / "toy", 24), tmp_path / "run"
    log = tmp_path / "log"
    killed: list[int] = []
    done = threading.Event()

    def killer() -> None:
        while not done.wait(1.0) and len(killed) < 3:
            for process in ray_workers("ray::LabelActor.label"):
                if process.pid not in killed and kill(process):
                    killed.append(process.pid)
                    break

    thread = threading.Thread(target=killer)
    thread.start()
    try:
        setup = FakeSetup(corpus=corpus, grounder={"delay_s": 0.03, "log": str(log)})
        assert label(setup, str(out), UNIT, RAY) == 0
    finally:
        done.set()
        thread.join()
    assert killed
    label(FakeSetup(corpus=corpus), str(tmp_path / "whole"), UNIT, LOCAL)
    assert all_rows(out) == all_rows(tmp_path / "whole")


def test_a_corpus_that_moved_and_failed_rows_done_again(tmp_path: Path) -> None:
    """On Ray as in one process; the pictures are decoded in processes that a worker has."""
    rows = write_lines(tmp_path / "old" / "toy", {1, 5})
    out, done = tmp_path / "run", threading.Event()
    killed: list[int] = []

    def kill_decoder() -> None:
        while not done.wait(0.05) and not killed:
            for worker in label_workers():
                with suppress(psutil.Error):
                    for process in worker.children():
                        if "pipeline.images.decoder_process" in process.cmdline():
                            process.kill()
                            killed.append(process.pid)

    thread = threading.Thread(target=kill_decoder)
    thread.start()
    try:
        assert label(FakeSetup(corpus=rows, grounder={"delay_s": 0.2}), str(out), 4, RAY) == 0
    finally:
        done.set()
        thread.join()
    assert killed
    before = {row.record_id: row for row in all_rows(out)}
    assert sum(row.status is Status.IMAGE_MISSING for row in before.values()) == 2
    new = tmp_path / "new" / "toy"
    (tmp_path / "new").mkdir()
    (tmp_path / "old" / "toy").rename(new)
    (new / "1.png").write_bytes(picture(1))
    moved = replace(
        RAY, relocate=(f"{tmp_path / 'old'}={tmp_path / 'new'}",), retry_failed="image_missing"
    )
    assert label(FakeSetup(corpus=str(new / Path(rows).name)), str(out), 4, moved) == 0
    after = {row.record_id: row for row in all_rows(out)}
    changed = [name for name in after if after[name] != before[name]]
    assert [before[name].status for name in changed][:1] == [Status.IMAGE_MISSING]
    assert sum(row.status.is_quarantined for row in after.values()) == 1
    assert len(after) == 12
    assert list((out / "_retries").iterdir())


def test_a_hopeless_run_ends_early(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    give_up(tmp_path, RAY, monkeypatch, capsys)


def test_sigterm_ends_a_run_that_takes_a_unit_apart(tmp_path: Path) -> None:
    """It does not wait for a record that hangs, and blames none for the end."""
    captions = {1: "an endless dog", 3: "a deadly dog"}
    corpus, out, log = (
        write_corpus(tmp_path / "toy", 1, captions=captions),
        tmp_path / "r",
        tmp_path / "l",
    )
    grounder = {"die_on": "deadly", "hang_on": "endless", "log": str(log)}
    done = threading.Event()

    def end_it() -> None:
        # Alone it is asked last; in company others, whose captions are longer, come behind it.
        while not (log.exists() and "endless" in log.read_text().rstrip().rpartition("\n")[2]):
            if done.wait(0.2):
                return
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=end_it)
    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            label(FakeSetup(corpus=corpus, grounder=grounder), str(out), UNIT, RAY)
    finally:
        done.set()
        thread.join()
    assert RunStore(out).commits() == {}
    assert label(FakeSetup(corpus=corpus), str(out), UNIT, LOCAL) == 0
    assert {row.status for row in all_rows(out)} <= {Status.OK, Status.NO_BOXES}


def test_ctrl_c_keeps_what_is_done(tmp_path: Path) -> None:
    corpus, out = write_corpus(tmp_path / "toy", 20), tmp_path / "run"
    grounder, running = {"delay_s": 0.1}, {"workers": 1, "cpus_per_worker": 1}
    args = [corpus, str(out), json.dumps(grounder), json.dumps(running)]
    process = start(args)
    wait_for_units(out, 2, process)
    stop_and_go_on(process, signal.SIGINT, out, [*args[:2], "{}", '{"runner": "local"}'])


def test_workers_that_cannot_load_end_the_run(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "toy", 1)
    setup = FakeSetup(corpus=corpus, grounder={"weights": "missing"})
    with pytest.raises(
        GlipforgeError, match="3 workers in a row died while loading.*there are no weights here"
    ):
        label(setup, str(tmp_path / "run"), UNIT, RAY)


def test_a_worker_with_another_teacher_ends_the_run(tmp_path: Path) -> None:
    setup = FakeSetup(corpus=write_corpus(tmp_path / "toy", 1), planned={"weights": "7"})
    with pytest.raises(ConfigError, match="this worker's machine is not the driver's"):
        label(setup, str(tmp_path / "run"), UNIT, RAY)
