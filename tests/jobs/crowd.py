"""Commands in processes of their own that step on each other, over and over.

    python -m tests.jobs.crowd 3 '[["filter", "RUN"], ["export", ...], ["read", "RUN"]]'

Each command line goes on in its own process until the seconds are over; besides the product's
commands there are `decide RUN` (what a pull does to a run) and `read RUN` (each curation, whole).
Prints for each how often it ended with which exit code, and what it said when that was not 0.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import multiprocessing
import sys
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from jobs.cli import main as glipforge
from pipeline.curation.curate import find_curated, iter_curated
from pipeline.curation.decisions import append_decisions
from pipeline.run.store import RunStore
from pipeline.storage.folders import list_folders
from schemas.records import Verdict
from tests.schemas.builders import make_decision

ONCE = (
    *("rich.table", "jobs.parsing", "jobs.progress_bar", "jobs.enriching.driver"),
    *("pipeline.report.page", "pipeline.report.pictures", "pipeline.report.stats"),
    *("pipeline.export", "pipeline.gold", "pipeline.trust.leakage", "pipeline.layers.store"),
    *(f"jobs.commands.{name}" for name in ("curate.filter", "share.export", "curate.report")),
)


@dataclass(kw_only=True)
class Told:
    """What one command line did."""

    words: list[str]
    codes: Counter[int] = field(default_factory=Counter)
    said: list[str] = field(default_factory=list)

    def once(self, number: int) -> None:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code = self._run(number)
            except BaseException:
                code = -1
                err.write(traceback.format_exc())
        self.codes[code] += 1
        if code and len(self.said) < 5:
            self.said.append(err.getvalue() + out.getvalue())

    def _run(self, number: int) -> int:
        name, run = self.words[0], RunStore(self.words[1])
        if name == "decide":
            at = f"2026-01-01T00:{number // 60 % 60:02d}:{number % 60:02d}.000000Z"
            verdict = (Verdict.KEEP, Verdict.DROP)[number % 2]
            row = make_decision(
                record_id="toy/0",
                box_id="toy/0#2",
                decision_id=f"d{number}",
                verdict=verdict,
                decided_at=at,
            )
            append_decisions(run, [row])
            time.sleep(0.05)
            return 0
        if name == "read":
            for policy_id in list_folders(run.url("curated")):
                if run.has("curated", policy_id, "manifest.json"):
                    rows = list(iter_curated(run, find_curated(run, policy_id)))
                    states = {row.decisions_id for row in rows}
                    assert len(states) <= 1, f"{policy_id}: rows of {len(states)} states"
            return 0
        return glipforge(self.words)


def go_on(words: list[str], until: float, queue: Any) -> None:
    """Repeat a command until the time is over, and at least twice."""
    told, number = Told(words=words), 0
    while time.monotonic() < until or number < 2:
        told.once(number)
        number += 1
    queue.put({"words": told.words, "codes": dict(told.codes), "said": told.said})


def main(args: list[str]) -> int:
    """Run the crowd; prints what each said as JSON."""
    seconds, commands = float(args[0]), json.loads(args[1])
    for name in ONCE:  # else each process would read it from the disk
        importlib.import_module(name)
    context = multiprocessing.get_context("fork")  # this process has no threads yet
    queue: Any = context.Queue()
    until = time.monotonic() + seconds
    crowd = [context.Process(target=go_on, args=(words, until, queue)) for words in commands]
    for one in crowd:
        one.start()
    print(json.dumps([queue.get(timeout=seconds + 300) for _ in crowd]))
    for one in crowd:
        one.join()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
