"""What a run of many shards costs before and beside the labelling: planning, resume, status, end.

    python -m tests.benchmarks.bench_planning --shards 100000

Small tars on the local disk, each one unit; the markers are real and name files that are there.
Wall and CPU seconds of each step, as `glipforge label` and `glipforge status` take them.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import psutil

from jobs.commands.label.label import make_plan
from jobs.labelling.progress import LabelProgress
from pipeline.run.commit_unit import CommitOutcome, commit_unit
from pipeline.run.status import read_status
from pipeline.run.store import RunStore
from schemas.plan import UnitCommit
from tests.benchmarks.synthetic import SyntheticSetup
from tests.pipeline.corpus.corpora import picture, write_tar

Result = TypeVar("Result")
LINKS = 30_000
"""Names that one file may have on common file systems, with room to spare."""


def write_shards(folder: Path, number: int) -> None:
    """Tars of one pair; links to a few files, since only names and sizes matter here."""
    folder.mkdir()
    source = folder.parent / "source.tar"
    for index in range(number):
        if index % LINKS == 0:
            source = folder.parent / f"source{index}.tar"
            write_tar(source, {"0.jpg": picture(0), "0.txt": b"a dog"})
        os.link(source, folder / f"{index:06d}.tar")


def write_commits(store: RunStore, share: float) -> UnitCommit:
    """Markers of the first units, with their files; without waiting for the disk each time."""
    units = store.plan().units
    first = commit_unit(store, units[0], [], rows_in=0, teacher_id="synthetic@0", seconds={})
    text = first.commit.to_json()
    for folder in ("annotations", "quarantine"):
        Path(store.url(folder)).mkdir(exist_ok=True)
    for unit in units[1 : int(len(units) * share)]:
        marker = json.loads(text) | {
            "unit_id": unit.unit_id,
            "rows_in": 512,
            "rows_out": 512,
            "status_counts": {"ok": 500, "image_corrupt": 12},
            "examples": {"image_corrupt": f"{unit.unit_id}/000003: cannot be decoded"},
            "seconds": {"total": 10.0, "teacher": 8.0, "decode": 3.0, "phrases": 0.7, "write": 0.1},
            "files": [
                {"path": f"{where}/{unit.unit_id}.parquet", "num_rows": n, "size": 0, "sha256": "0"}
                for where, n in (("annotations", 500), ("quarantine", 12))
            ],
        }
        for file in marker["files"]:
            Path(store.url(file["path"])).touch()
        Path(store.url("_commits", f"{unit.unit_id}.json")).write_text(json.dumps(marker))
    return first.commit


def memory_mib() -> float:
    """Private memory of this process."""
    memory = psutil.Process().memory_info()
    return float(memory.rss - memory.shared) / 2**20


def main() -> int:
    """Print a table and JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=int, default=100_000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows: dict[str, dict[str, float]] = {}

    def step(name: str, work: Callable[[], Result]) -> Result:
        wall, cpu = time.perf_counter(), time.process_time()
        result = work()
        rows[name] = {
            "wall_s": round(time.perf_counter() - wall, 2),
            "cpu_s": round(time.process_time() - cpu, 2),
        }
        print(f"{name:<44}{rows[name]['wall_s']:>8.2f} s{rows[name]['cpu_s']:>8.2f} CPU s")
        return result

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        at_start = memory_mib()
        write_shards(folder / "corpus", options.shards)
        setup = SyntheticSetup(corpus=str(folder / "corpus"), parse=False)
        out = str(folder / "run")

        corpus = step("list the corpus", setup.open_corpus)
        plan = step("units and plan", lambda: make_plan(setup, corpus, corpus.units(512)))
        store = RunStore(out)
        step("write the plan", lambda: store.write_plan(plan))
        step("its fingerprint", store.plan_id)
        step("what is to do, of a new run", store.pending)
        commit = write_commits(store, 0.9)

        again = RunStore(out)
        step("resume: compare the plan", lambda: again.write_plan(plan))
        step("resume: fingerprint", again.plan_id)
        step("resume: recover", again.recover)
        pending = step("resume: what is to do", again.pending)
        held = memory_mib() - at_start
        assert len(pending) == options.shards - int(options.shards * 0.9)
        progress = LabelProgress(units=plan.units)
        outcome = CommitOutcome(won=True, commit=commit)

        def count() -> None:
            for _ in range(options.shards):
                progress.commit(outcome)

        step("progress: count every unit", count)
        found = step("status", lambda: read_status(RunStore(out)))
        assert found.units == options.shards
        step("status again, as --watch does", lambda: read_status(again))
        plan_mb = os.path.getsize(folder / "run" / "_plan.json") / 1e6
    planning = sum(rows[name]["wall_s"] for name in list(rows)[:5])
    resuming = sum(row["wall_s"] for name, row in rows.items() if name.startswith("resume"))
    print(f"planning {planning:.1f} s, resume {resuming:.1f} s more; _plan.json {plan_mb:.1f} MB")
    print(f"memory {held:.0f} MiB more after plan and resume, of two stores in one process")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
