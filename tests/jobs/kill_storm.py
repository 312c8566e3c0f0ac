"""A storm of kill -9 over labelling on a Ray cluster of several nodes, and what must hold after it.

    python -m tests.jobs.kill_storm --kills 200 --seed 1

Round after round, the same corpus is labelled into a new run on a cluster of three nodes, while at
random moments something is killed: a worker, all workers, the driver (which is started again with
another number of workers), a node with all that is on it (another joins), or a worker in the
middle of a step of a commit. Each of them comes once in every five kills, each step once in every
six deaths in commits. After each kill every unit that was committed since the last is read; after
each round the rows are compared with those of one undisturbed process.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.commands.label.label import Running, label
from pipeline.run.store import PLAN, RunStore
from schemas.plan import UnitCommit
from tests.jobs.fake_label import FakeSetup, all_rows, asked
from tests.jobs.small_cluster import NODES, add_node, kill, label_workers, small_cluster
from tests.pipeline.corpus.corpora import picture
from tests.pipeline.run.steps import STEPS_LOCAL

KINDS = ("worker", "all workers", "driver", "node", "commit step")
RECORDS_A_ROUND = 8000
UNIT = 8
"""Records that are committed together, a row group: what a death costs for each unit at work."""
MAX_PASSES = 1.05
_log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Storm:
    """One storm in one folder.

    kills: Deaths to bring about; rounds are added until there were so many.
    pause_s: Seconds between kills, lowest and highest.
    """

    folder: Path
    kills: int
    seed: int
    pause_s: tuple[float, float] = (1.5, 4.0)
    done: Counter[str] = field(default_factory=Counter)
    steps_done: Counter[str] = field(default_factory=Counter)
    rounds: int = 0
    asked: int = 0
    drivers: int = 0

    def run(self, cluster: Any) -> dict[str, Any]:
        """All rounds; returns figures. AssertionError where something was lost or doubled."""
        rng = random.Random(self.seed)
        kinds, steps = _Turns(KINDS, rng), _Turns(STEPS_LOCAL, rng)
        corpus = write_parquet(self.folder / "toy.parquet", RECORDS_A_ROUND)
        whole = self.folder / "whole"
        label(FakeSetup(corpus=corpus), str(whole), UNIT, Running(runner="local"))
        wanted = all_rows(whole)
        assert len(wanted) == RECORDS_A_ROUND
        while self.done.total() < self.kills:
            out = self.folder / f"run-{self.rounds}"
            one = _Round(self, cluster, corpus, out, rng, kinds, steps)
            one.run()
            assert RunStore(one.out).is_complete()
            assert all_rows(one.out) == wanted, f"{one.out}: not the rows of one quiet process"
            self.rounds += 1
            self.asked += asked(one.log)
        passes = self.asked / (self.rounds * RECORDS_A_ROUND)
        assert passes <= MAX_PASSES, f"the teacher was asked {passes:.3f} times for each record"
        return {
            "kills": dict(self.done),
            "commit steps": dict(self.steps_done),
            "rounds": self.rounds,
            "records": self.rounds * RECORDS_A_ROUND,
            "drivers": self.drivers,
            "teacher passes": round(passes, 4),
        }


class _Turns:
    """Things in random order, each once before any comes again."""

    def __init__(self, things: tuple[str, ...], rng: random.Random) -> None:
        self.things = things
        self.rng = rng
        self.left: list[str] = []

    def next(self) -> str:
        """The next one; it stays so until it is done."""
        if not self.left:
            self.left = self.rng.sample(self.things, len(self.things))
        return self.left[-1]

    def done(self) -> None:
        """It was its turn."""
        self.left.pop()


class _Round:
    def __init__(
        self,
        storm: Storm,
        cluster: Any,
        corpus: str,
        out: Path,
        rng: random.Random,
        kinds: _Turns,
        steps: _Turns,
    ):
        self.storm = storm
        self.kinds = kinds
        self.steps = steps
        self.cluster = cluster
        self.corpus = corpus
        self.out = out
        self.log = out.with_suffix(".log")
        self.armed = out.with_suffix(".armed")
        self.armed.mkdir(parents=True)
        self.rng = rng
        self.checked: set[str] = set()

    def run(self) -> None:
        driver = self._start()
        try:
            while True:
                with suppress(subprocess.TimeoutExpired):
                    if (code := driver.wait(self.rng.uniform(*self.storm.pause_s))) == 0:
                        return
                    said = self.out.with_suffix(".driver.log").read_text(errors="replace")
                    raise AssertionError(f"the driver ended with {code}: {said[-3000:]}")
                if self.storm.done.total() >= self.storm.kills:
                    continue  # nothing more is killed: the round ends by itself
                if not self._check():
                    continue  # nothing is committed yet: wait for a moment that counts
                kind = self.kinds.next()
                if kind == "driver":
                    os.killpg(driver.pid, signal.SIGKILL)
                    driver.wait()
                    self._count(kind)
                    driver = self._start()
                elif getattr(self, "_kill_" + kind.replace(" ", "_"))():
                    self._count(kind)
        finally:
            if driver.poll() is None:
                os.killpg(driver.pid, signal.SIGKILL)
                driver.wait()

    def _count(self, kind: str) -> None:
        self.storm.done[kind] += 1
        self.kinds.done()
        _log.info("kill %d: %s", self.storm.done.total(), kind)

    def _start(self) -> subprocess.Popen[bytes]:
        self.storm.drivers += 1
        grounder = {"delay_s": 0.004, "log": str(self.log), "die_in_commit": str(self.armed)}
        running = {"workers": self.rng.randint(1, NODES), "cpus_per_worker": 1, "decode_threads": 1}
        words = [self.corpus, str(self.out), json.dumps(grounder), json.dumps(running)]
        with self.out.with_suffix(".driver.log").open("ab") as said:
            return subprocess.Popen(
                [sys.executable, "-m", "tests.jobs.fake_label", *words],
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=os.environ | {"RAY_ADDRESS": self.cluster.address},
            )

    def _check(self) -> int:
        """Read the units that were committed since the last check; how many are committed."""
        store = RunStore(self.out)
        if not store.has(PLAN):
            return 0
        units = {unit.unit_id: unit for unit in store.plan().units}
        for path in sorted((self.out / "_commits").glob("*.json")):
            if path.stem in self.checked:
                continue
            commit = UnitCommit.from_json(path.read_text(), where=str(path))
            rows = [row for file in commit.files for row in store.read_rows(commit, file)]
            unit = units[path.stem]
            ids = {row.record_id for row in rows}
            assert len(ids) == len(rows) == unit.num_records, f"{path}: {len(rows)} rows"
            self.checked.add(path.stem)
        return len(self.checked)

    # --- what is killed --------------------------------------------------------------------------

    def _kill_worker(self) -> bool:
        workers = label_workers()
        return bool(workers) and kill(self.rng.choice(workers))

    def _kill_all_workers(self) -> bool:
        return any([kill(worker) for worker in label_workers()])

    def _kill_node(self) -> bool:
        node = self.rng.choice(sorted(self.cluster.worker_nodes, key=lambda node: node.node_id))
        self.cluster.remove_node(node, allow_graceful=False)
        add_node(self.cluster)
        return True

    def _kill_commit_step(self) -> bool:
        """The next worker that comes to the step dies in it."""
        step = self.steps.next()
        trap = self.armed / step
        trap.touch()
        deadline = time.monotonic() + 20
        while trap.exists():
            if time.monotonic() > deadline:
                trap.unlink(missing_ok=True)
                return False
            time.sleep(0.02)
        self.storm.steps_done[step] += 1
        self.steps.done()
        return True


def write_parquet(path: Path, records: int) -> str:
    """A corpus of tiny pictures; every 50th caption is blank, so that units have quarantine."""
    pictures = [picture(number) for number in range(16)]
    captions = ["" if n % 50 == 7 else f"a dog and a cat{n}" for n in range(records)]
    images = [{"bytes": pictures[n % 16], "path": None} for n in range(records)]
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"image": images, "caption": captions}), path, row_group_size=UNIT)
    return str(path)


def main() -> int:
    """Run a storm; prints its figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="kept; a temporary one if not given")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        storm = Storm(folder=options.folder or Path(folder), kills=options.kills, seed=options.seed)
        with small_cluster() as cluster:
            found = storm.run(cluster)
        print(json.dumps(found | {"minutes": round((time.monotonic() - began) / 60, 1)}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
