"""How many pairs are committed together, where the user does not say.

About a minute of one worker's work: so much is lost with a worker, and so often a number moves. At
least two units for each worker, so that none idles at the end of a small corpus.
"""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING

from pipeline.run.info import read_run_info

if TYPE_CHECKING:
    from jobs.labelling.setup import Corpus, LabelSetup
    from pipeline.run.store import RunStore
    from schemas.plan import Unit

MAX_RECORDS = 512
MIN_RECORDS = 4
UNIT_S = 60.0
UNITS_PER_WORKER = 2
MAX_UNITS = 20_000
"""Of slow teachers on large corpora: more would make the plan and the markers the work."""


def choose_units(
    corpus: Corpus, setup: LabelSetup, store: RunStore, *, workers: int, chosen: int = 0
) -> tuple[tuple[Unit, ...], int]:
    """The units of a corpus, and how many pairs each has at most.

    workers: how many there will be, roughly.
    chosen: what the user said; 0: as above, and in a run that is there already as it began.
    """
    size = chosen or size_of_run(store)
    if size:
        return corpus.units(size), size
    seconds = getattr(setup, "seconds_per_record", lambda: 0.0)()
    by_time = MAX_RECORDS
    if seconds > 0:
        by_time = max(MIN_RECORDS, min(MAX_RECORDS, int(UNIT_S / seconds)))
    units = corpus.units(by_time)
    size = size_of_units(units, by_time, workers)
    return (units if size == by_time else corpus.units(size)), size


def size_of_units(units: tuple[Unit, ...], by_time: int, workers: int) -> int:
    """The size that gives each worker two units, and the whole run not too many of them.

    units: the corpus in units of `by_time`.
    """
    if any(unit.num_records < 0 for unit in units):
        return by_time
    total = sum(unit.num_records for unit in units)
    if len(units) > MAX_UNITS:
        return min(MAX_RECORDS, math.ceil(total / MAX_UNITS))
    if len(units) >= UNITS_PER_WORKER * workers:
        return by_time
    share = math.ceil(total / (UNITS_PER_WORKER * workers))
    return min(by_time, max(MIN_RECORDS, share))


def size_of_run(store: RunStore) -> int:
    """The size with which a run began; 0: there is none yet."""
    from pipeline.run.store import PLAN

    if not store.has(PLAN):
        return 0
    if said := read_run_info(store).records_per_unit:
        return said
    # Killed between the plan and run.json: the largest unit is a full one.
    return max((unit.num_records for unit in store.plan().units), default=0)


def likely_workers(runner: str, wanted: int) -> int:
    """How many workers a run will have, before Ray is asked."""
    if runner == "local":
        return 1
    if wanted:
        return wanted
    return 16 if os.environ.get("RAY_ADDRESS") else len(os.sched_getaffinity(0))
