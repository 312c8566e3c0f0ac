"""A labelling with a fake teacher: for tests in this process, and as a program that can be killed.

The program is `glipforge label` but for the teacher: the command line's errors and exit codes.

python -m tests.jobs.fake_label CORPUS OUT '{"delay_s": 0.01}' '{"runner": "local"}'
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from weakref import WeakSet

from jobs import cli
from jobs.commands.label import label as label_command
from jobs.commands.label.label import Running, label
from jobs.labelling.setup import Tools
from pipeline.corpus import Corpus, open_corpus
from pipeline.labelling.annotate_unit import aspect_key
from pipeline.labelling.pairs import PairLimits
from pipeline.run import lock as run_lock
from pipeline.run.commit_local import LocalCommitter
from pipeline.run.store import RunStore
from schemas.records import Annotation
from tests.fakes import FakeGrounder, FakeParser
from tests.pipeline.corpus.corpora import picture, write_tar
from tests.pipeline.run.steps import tell_steps

UNIT = 8


@dataclass(frozen=True, kw_only=True)
class FakeSetup:
    """A setup whose teacher is `FakeGrounder(**grounder)`."""

    corpus: str
    grounder: dict[str, Any] = field(default_factory=dict)
    planned: dict[str, Any] = field(default_factory=dict)
    """Other than `grounder`: what the driver thinks that the workers load."""
    limits: PairLimits = field(default_factory=PairLimits)

    def _make(self, more: dict[str, Any]) -> FakeGrounder:
        options = self.grounder | more
        log = options.pop("log", None)
        options.pop("die_in_commit", None)
        options.pop("hold", None)
        return FakeGrounder(**options, log=Path(log) if log else None)

    def open_corpus(self) -> Corpus:
        return open_corpus(self.corpus)

    def fingerprint(self) -> dict[str, Any]:
        teacher = dict(self._make(self.planned).fingerprint())
        return {"teacher": teacher, "phrases": FakeParser().fingerprint()}

    def teacher_id(self) -> str:
        return self._make(self.planned).teacher_id

    def load(self) -> Tools:
        if self.grounder.get("weights") == "missing":
            raise OSError("there are no weights here")
        if hold := self.grounder.get("hold"):  # loading lasts as long as this file is there
            while Path(hold).exists():
                time.sleep(0.1)
        if folder := self.grounder.get("die_in_commit"):
            die_in_commit(Path(folder))
        grounder = self._make({})

        def set_before_batch(call: Callable[[], object]) -> None:
            grounder.before_batch = call

        return Tools(
            grounder=grounder,
            parser=FakeParser(),
            size_key=aspect_key,
            set_before_batch=set_before_batch,
        )


def die_in_commit(traps: Path) -> None:
    """Let this process kill itself in the step of a commit whose name is a file in `traps`."""
    commit = LocalCommitter.commit
    told = WeakSet[LocalCommitter]()

    def step(name: str) -> None:
        with suppress(FileNotFoundError):
            (traps / name).unlink()  # of several workers one finds it
            os.kill(os.getpid(), signal.SIGKILL)

    def deadly(self: LocalCommitter, *args: Any) -> bool:
        if self not in told:  # a worker's committer is older than its teacher
            told.add(self)
            tell_steps(self, step)
        return commit(self, *args)

    LocalCommitter.commit = deadly  # type: ignore[method-assign]


def write_corpus(folder: Path, units: int, *, captions: dict[int, str] | None = None) -> str:
    """A tar for each unit, `UNIT` pairs in it; `captions` replaces those of single pairs."""
    for unit in range(units):
        members = {}
        for number in range(unit * UNIT, unit * UNIT + UNIT):
            text = (captions or {}).get(number, f"a dog and a cat{number}")
            members |= {f"{number:05d}.png": picture(number), f"{number:05d}.txt": text.encode()}
        write_tar(folder / f"{unit:04d}.tar", members)
    return str(folder)


def all_rows(out: Path | str) -> list[Annotation]:
    """Every row of a run, sorted by id."""
    store = RunStore(out)
    rows = [*store.iter_annotations(), *store.iter_quarantine()]
    return sorted(rows, key=lambda row: row.record_id)


def asked(log: Path) -> int:
    """How many pairs the teacher was asked about."""
    return len(log.read_text().splitlines()) if log.exists() else 0


def main(args: list[str]) -> int:
    corpus, out, grounder, running, *lock = args
    setup = FakeSetup(corpus=corpus, grounder=json.loads(grounder))
    if lock:  # how long it waits before it takes the lock of a driver that is silent
        run_lock.run_lock = partial(run_lock.run_lock, **json.loads(lock[0]))
    options = Running(**json.loads(running))
    label_command.run = lambda config: label(setup, out, UNIT, options)
    return cli.main(["label", "--corpus", corpus, "--out", out])


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
