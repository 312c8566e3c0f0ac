"""Labels units in this process, without Ray: the simplest runner, and the others' oracle."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager

from jobs.labelling.progress import LabelProgress, TooManyFailures
from jobs.labelling.worker import DEPTH, LabelWorker, Stopped, WorkerSpec
from pipeline.run.commit_unit import CommitOutcome
from schemas.errors import ConfigError, RetryableError
from schemas.plan import Unit

BACKOFF_S = 1.0
TELL_S = 1.0
THREADS_BESIDE_GPU = 4


def run_local(
    units: Sequence[Unit],
    spec: WorkerSpec,
    progress: LabelProgress,
    *,
    attempts: int,
    cpus: float = 0.0,
) -> dict[str, str]:
    """Label units; returns the reason of each that failed, by unit id.

    Args:
        cpus: Threads of the teacher's arithmetic; 0: as many as a Ray worker has by default.

    Raises:
        ConfigError: the teacher cannot be loaded, a store refuses: nothing can be labelled.
        TooManyFailures: see `LabelProgress`.
    """
    worker = LabelWorker(spec)
    with teacher_threads(cpus, getattr(spec.setup, "device", "cpu")):
        return _run(units, worker, progress, attempts)


def _run(
    units: Sequence[Unit], worker: LabelWorker, progress: LabelProgress, attempts: int
) -> dict[str, str]:
    progress.start_clock()
    failed: dict[str, str] = {}
    waiting = list(reversed(units))
    running: dict[Future[CommitOutcome], Unit] = {}
    with ThreadPoolExecutor(DEPTH, thread_name_prefix="unit") as pool:
        try:
            while waiting or running:
                while waiting and len(running) < DEPTH:
                    unit = waiting.pop()
                    running[pool.submit(_label, worker, unit, attempts)] = unit
                done, _ = wait(running, timeout=TELL_S, return_when=FIRST_COMPLETED)
                progress.under_way = worker.beat().rows
                progress.tell()
                for future in done:
                    unit = running.pop(future)
                    try:
                        progress.commit(future.result())
                    except (ConfigError, TooManyFailures):
                        raise
                    except Exception as error:  # one unit: said in the end, the others go on
                        failed[unit.unit_id] = f"{type(error).__name__}: {error}"
        except BaseException:
            worker.stop()
            raise
    return failed


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
