"""Labels units in this process, without Ray: the simplest runner, and the others' oracle."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from functools import partial

from jobs.labelling.progress import LabelProgress, TooManyFailures
from jobs.labelling.worker import DEPTH, LabelWorker, Stopped, WorkerSpec
from pipeline.run.commit_unit import CommitOutcome
from schemas.errors import ConfigError, GlipforgeError, RetryableError, failure_of
from schemas.plan import Unit

BACKOFF_S = 1.0
TELL_S = 1.0
THREADS_BESIDE_GPU = 4
MAX_WAIT_S = 600.0
"""For the batches under way when a run is stopped."""
END_S = 30.0
"""After a hang the process has so long to end by itself."""


class Hung(GlipforgeError):
    """Nothing went on for too long. A thread cannot be ended, so the process has to."""


def run_local(
    units: Sequence[Unit],
    spec: WorkerSpec,
    progress: LabelProgress,
    *,
    attempts: int,
    cpus: float = 0.0,
    hang_s: float = float("inf"),
) -> dict[str, str]:
    """Label units; returns the reason of each that failed, by unit id.

    Args:
        cpus: Threads of the teacher's arithmetic; 0: as many as a Ray worker has by default.
        hang_s: Without any progress for so long, the run is given up.

    Raises:
        ConfigError: the teacher cannot be loaded, a store refuses: nothing can be labelled.
        TooManyFailures: see `LabelProgress`.
        Hung: after `hang_s`; the process ends within `END_S`, whatever its threads do.
    """
    worker = LabelWorker(spec)
    with teacher_threads(cpus, getattr(spec.setup, "device", "cpu")):
        return _run(units, worker, progress, attempts, hang_s)


def _run(
    units: Sequence[Unit],
    worker: LabelWorker,
    progress: LabelProgress,
    attempts: int,
    hang_s: float,
) -> dict[str, str]:
    progress.start_clock()
    failed: dict[str, str] = {}
    waiting = list(reversed(units))
    running: dict[Future[CommitOutcome], Unit] = {}
    signs, moved = -1, time.monotonic()
    try:
        while waiting or running:
            while waiting and len(running) < DEPTH:
                unit = waiting.pop()
                running[_in_thread(partial(_label, worker, unit, attempts))] = unit
            done, _ = wait(running, timeout=TELL_S, return_when=FIRST_COMPLETED)
            beat = worker.beat()
            progress.under_way = beat.rows
            progress.tell()
            if done or beat.signs != signs:
                signs, moved = beat.signs, time.monotonic()
            elif time.monotonic() - moved > hang_s:
                raise _hung(list(running.values()), hang_s)
            for future in done:
                unit = running.pop(future)
                try:
                    progress.commit(future.result())
                except (ConfigError, TooManyFailures):
                    raise
                except Exception as error:  # one unit: said in the end, the others go on
                    failed[unit.unit_id] = failure_of(error)
    except BaseException as error:
        worker.stop()
        if not isinstance(error, Hung):
            wait(running, timeout=min(hang_s, MAX_WAIT_S))
        raise
    return failed


def _in_thread(work: Callable[[], CommitOutcome]) -> Future[CommitOutcome]:
    """A thread that does not keep the process alive: one that hangs cannot be ended."""
    future: Future[CommitOutcome] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name="unit", daemon=True).start()
    return future


def _hung(units: Sequence[Unit], hang_s: float) -> Hung:
    timer = threading.Timer(END_S, os._exit, (1,))
    timer.daemon = True
    timer.start()
    names = ", ".join(unit.unit_id for unit in units)
    return Hung(
        f"no progress for {hang_s:g} s (--hang-s) with {names}. What is committed is safe; the "
        "same command goes on, and without `--runner local` it finds the record that hangs"
    )


def _label(worker: LabelWorker, unit: Unit, attempts: int) -> CommitOutcome:
    for attempt in range(1, attempts):
        try:
            return worker.label(unit)
        except Stopped:
            raise
        except RetryableError:
            time.sleep(BACKOFF_S * 2 ** (attempt - 1))
    return worker.label(unit)


@contextmanager
def teacher_threads(cpus: float, device: str) -> Iterator[None]:
    """The threads of a Ray worker: another number changes the last digits of the rows.

    Ray leaves OMP_NUM_THREADS alone where it is set, and so does this.
    """
    torch = sys.modules.get("torch")  # which a teacher without it need not load
    if torch is None or "OMP_NUM_THREADS" in os.environ:
        yield
        return
    if not cpus:
        beside_gpu = device != "cpu" and torch.cuda.is_available()
        cpus = min(THREADS_BESIDE_GPU, os.cpu_count() or 1) if beside_gpu else 1
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, int(cpus)))
    try:
        yield
    finally:
        torch.set_num_threads(before)  # a training may follow in this process
