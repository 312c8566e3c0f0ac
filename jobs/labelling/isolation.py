"""Finds the records that kill or hang their worker, labels all others of their unit, commits.

Runs beside the scheduler in a thread, with one actor of its own that is replaced at each death.
When the run is ended, `stop` ends it within a moment, whatever it waits for.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from jobs.labelling.ray_actor import ActorNeeds, lost_its_node, start_actor
from jobs.labelling.worker import Stopped
from pipeline.labelling.pairs import Pair
from pipeline.labelling.rows import failed_row
from pipeline.run.commit_unit import CommitOutcome, commit_unit
from pipeline.run.store import RunStore
from schemas.errors import UnitError
from schemas.plan import Unit
from schemas.records import Annotation, CorpusRecord, Status

CHUNK = 32
"""Records that are tried together before each is tried alone."""
MAX_READ_DEATHS = 2
MAX_FAILED_STARTS = 3
"""Workers in a row that die while they load; those that went with their node do not count."""
MAX_LONE_CRASHES = 2
"""Workers that a record may lose when it is alone: the first may have died of something else, as
of a lost node. A record that hangs is not given so long again."""


@dataclass(frozen=True, kw_only=True)
class Isolation:
    """How units are taken apart.

    hang_s: A call without any progress for so long is ended.
    """

    store: RunStore
    spec_ref: Any
    needs: ActorNeeds
    teacher_id: str
    hang_s: float


class Isolating:
    """One unit being taken apart; each culprit becomes a row with its reason.

    Args:
        isolation: How.
        unit: What.
        deaths: Workers that were lost to it before.
    """

    def __init__(self, isolation: Isolation, unit: Unit, deaths: int) -> None:
        self.isolation = isolation
        self.unit = unit
        self.deaths = deaths
        self.actor: Any = None
        self._is_stopped = False

    def stop(self) -> None:
        """Let `run` end in another thread: its actor is killed, and it starts no other."""
        import ray

        self._is_stopped = True
        if (actor := self.actor) is not None:
            ray.kill(actor)

    def run(self) -> CommitOutcome:
        """Label what can be labelled, and commit.

        Raises:
            UnitError: even reading the unit ends the worker.
            Stopped: `stop` was called.
        """
        began = time.perf_counter()
        try:
            records = self._list_records()
            rows: list[Annotation] = []
            for start in range(0, len(records), CHUNK):
                rows += self._chunk(records, start, min(start + CHUNK, len(records)))
        finally:
            self._drop_actor()
        return commit_unit(
            self.isolation.store,
            self.unit,
            rows,
            rows_in=len(records),
            teacher_id=self.isolation.teacher_id,
            seconds={"total": time.perf_counter() - began},
        )

    def _list_records(self) -> list[CorpusRecord]:
        for _ in range(MAX_READ_DEATHS):
            found, ending = self._ask("list_records")
            if ending is None:
                return list(found)
            self.deaths += 1
        raise UnitError(
            f"unit {self.unit.unit_id!r}: workers die while they read {self.unit.uri!r}, before "
            "the teacher is asked"
        )

    def _chunk(self, records: list[CorpusRecord], start: int, stop: int) -> list[Annotation]:
        ending, tries = Status.WORKER_CRASH, MAX_LONE_CRASHES if stop - start == 1 else 1
        while tries and ending is Status.WORKER_CRASH:
            rows, found = self._ask("label_range", start, stop)
            if found is None:
                return list(rows)
            ending = found
            tries -= 1
            self.deaths += 1
        if stop - start > 1:
            singles = (self._chunk(records, n, n + 1) for n in range(start, stop))
            return [row for single in singles for row in single]
        detail = (
            "its worker process ended when it was labelled alone"
            if ending is Status.WORKER_CRASH
            else f"no answer within {self.isolation.hang_s:.0f} s when it was labelled alone"
        )
        pair = Pair(
            ordinal=start,
            record=records[start],
            failure=(ending, f"{detail}; {self.deaths} workers were lost to its unit"),
        )
        return [failed_row(pair, self.isolation.teacher_id)]

    def _ask(self, method: str, *args: int) -> tuple[Any, Status | None]:
        """The answer, or how the actor ended."""
        import ray
        from ray.exceptions import GetTimeoutError, RayActorError, RayTaskError

        self._need_actor()
        try:
            call = getattr(self.actor, method).remote(self.unit, *args)
            return ray.get(call, timeout=self.isolation.hang_s), None
        except RayTaskError as error:
            raise error.cause from error
        except GetTimeoutError:
            ending = Status.WORKER_HANG
        except RayActorError:
            self._require_going_on()  # else the record would be blamed for our own kill
            ending = Status.WORKER_CRASH
        self._drop_actor()
        return None, ending

    def _need_actor(self) -> None:
        import ray
        from ray.exceptions import RayActorError

        failed = 0
        while self.actor is None:
            self.actor = start_actor(self.isolation.spec_ref, self.isolation.needs)
            self._require_going_on()  # behind the line above: `stop` kills what it sees there
            try:
                ray.get(self.actor.ready.remote())
            except RayActorError as error:  # it has not seen the unit yet
                self._require_going_on()
                self._drop_actor()
                failed += not lost_its_node(error)
                if failed == MAX_FAILED_STARTS:
                    raise

    def _require_going_on(self) -> None:
        if self._is_stopped:
            self._drop_actor()
            raise Stopped(f"the run was stopped while {self.unit.unit_id!r} was taken apart")

    def _drop_actor(self) -> None:
        import ray

        if self.actor is not None:
            ray.kill(self.actor)
            self.actor = None
