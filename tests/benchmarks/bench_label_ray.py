"""Labelling on Ray against bare teachers, as many at once: do workers keep their teachers busy?

    python -m tests.benchmarks.bench_label_ray --workers 1 2 --wait-ms 10 --images 4096
    python -m tests.benchmarks.bench_label_ray --workers 1 2 --images 1280 --unit 64

With `--wait-ms` the teacher is one that sleeps so long for each image, as a GPU takes no core; else
it is that of `bench_label`, and workers and teachers share the cores. Bare teachers are actors that
answer decoded images and cut captions all at the same time. Both rates leave out the start: of the
job it is that between an early and a late commit, when all workers are at work. CPU seconds are
those of this process, the workers, their parsers and Ray's own processes in that time.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from jobs.labelling.progress import LabelProgress
from jobs.labelling.ray_actor import ActorNeeds
from jobs.labelling.ray_runner import RayRunner
from jobs.labelling.setup import LabelSetup
from jobs.labelling.worker import DEPTH, WorkerSpec
from jobs.ray_session import ray_session
from pipeline.run.store import RunStore
from tests.benchmarks.bench_label import (
    cpu_seconds,
    parse_options,
    requests_of,
    write_setup,
    write_spec,
)
from tests.benchmarks.synthetic import SyntheticSetup, write_pairs

if TYPE_CHECKING:
    from pipeline.run.commit_unit import CommitOutcome

BARE_S = 10.0


class BareTeacher:
    """An actor that holds calls which are ready, and answers them again and again."""

    def __init__(self, spec: WorkerSpec) -> None:
        tools = spec.setup.load()
        unit = RunStore(spec.run).plan().units[0]
        self._grounder = tools.grounder
        self._calls = requests_of(spec.corpus, [unit], tools, spec.call_size)
        self._grounder.ground(self._calls[0])

    def ready(self) -> bool:
        """Once it is."""
        return True

    def answer(self, seconds: float) -> tuple[int, float, float]:
        """Images, wall and CPU seconds."""
        images, wall, cpu = 0, time.perf_counter(), time.process_time()
        calls: Iterator[Any] = cycle(self._calls)
        while time.perf_counter() - wall < seconds:
            images += len(self._grounder.ground(next(calls)))
        return images, time.perf_counter() - wall, time.process_time() - cpu


@dataclass(kw_only=True)
class Timed(LabelProgress):
    """When which rows were committed, and the CPU seconds until then."""

    marks: list[tuple[float, float, int]] = field(default_factory=list)

    def commit(self, outcome: CommitOutcome) -> None:
        """Note a commit."""
        super().commit(outcome)
        self.marks.append((time.perf_counter(), cpu_seconds(), self.rows))


def bare(spec: WorkerSpec, workers: int) -> dict[str, float]:
    """Images per second of all, CPU ms per image."""
    import ray

    actors = [ray.remote(num_cpus=1)(BareTeacher).remote(spec) for _ in range(workers)]
    ray.get([actor.ready.remote() for actor in actors])
    found = ray.get([actor.answer.remote(BARE_S) for actor in actors])
    for actor in actors:
        ray.kill(actor)
    images = sum(number for number, _, _ in found)
    return {
        "images_per_s": sum(number / wall for number, wall, _ in found),
        "cpu_ms": 1000 * sum(cpu for _, _, cpu in found) / images,
    }


def job(spec: WorkerSpec, run: Path, workers: int) -> dict[str, float]:
    """The same of a labelling."""
    store = RunStore(run)
    store.write_plan(RunStore(spec.run).plan())
    pending = store.pending()
    progress = Timed(units=pending)
    runner = RayRunner(
        store=store,
        spec=replace(spec, run=str(run)),
        progress=progress,
        needs=ActorNeeds(num_cpus=1),
        num_workers=workers,
        attempts=1,
        hang_s=600,
    )
    assert not runner.run(pending)
    full = workers * DEPTH
    (began, cpu_began, before), (ended, cpu_ended, after) = (
        progress.marks[full],
        progress.marks[-1 - full],
    )
    return {
        "images_per_s": (after - before) / (ended - began),
        "cpu_ms": 1000 * (cpu_ended - cpu_began) / (after - before),
    }


def setup_of(options: argparse.Namespace, folder: Path) -> LabelSetup:
    """The teacher that sleeps, or that of `bench_label`."""
    if options.wait_ms:
        corpus = write_pairs(folder / "corpus", options.images, rows_per_group=options.unit)
        return SyntheticSetup(corpus=corpus, wait_ms=options.wait_ms)
    return write_setup(options, folder)


def main() -> int:
    """Print both and their ratios, for each number of workers."""
    parser = parse_options(__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--wait-ms", type=float, default=0.0)
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name, ray_session(max(options.workers)):
        folder = Path(name)
        setup = setup_of(options, folder)
        spec = write_spec(setup, options, folder / "plan")
        least = 5 * DEPTH * max(options.workers)
        if (units := len(RunStore(spec.run).plan().units)) < least:
            parser.error(f"{units} units, of {least} at least; more --images, or a smaller --unit")
        for workers in options.workers:
            alone = bare(spec, workers)
            whole = job(spec, folder / f"run-{workers}", workers)
            again = bare(spec, workers)
            rate = (alone["images_per_s"] + again["images_per_s"]) / 2
            cpu = (alone["cpu_ms"] + again["cpu_ms"]) / 2
            rows.append(
                {
                    "teacher": setup.teacher_id(),
                    "workers": workers,
                    "load": round(psutil.getloadavg()[0], 1),
                    "bare_images_per_s": round(rate, 1),
                    "job_images_per_s": round(whole["images_per_s"], 1),
                    "rate_ratio": round(whole["images_per_s"] / rate, 3),
                    "bare_cpu_ms": round(cpu, 3),
                    "job_cpu_ms": round(whole["cpu_ms"], 3),
                }
            )
            print(json.dumps(rows[-1]), flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
