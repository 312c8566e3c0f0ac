"""Labels units on Ray actors: hands out units, replaces dead workers, isolates what kills them.

A worker has up to `DEPTH` units. A unit whose worker died is tried again alone in a worker, so
that the next death is surely its own; then it is taken apart (`isolation.py`). Units that fail
with an exception are tried again a few times. Deaths while loading blame no unit.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from jobs.labelling.isolation import MAX_FAILED_STARTS, Isolating, Isolation
from jobs.labelling.progress import LabelProgress
from jobs.labelling.ray_actor import ActorNeeds, lost_its_node, start_actor, why_it_ended
from jobs.labelling.worker import DEPTH, WorkerSpec
from pipeline.run.commit_unit import CommitOutcome
from pipeline.run.store import RunStore
from schemas.errors import ConfigError, GlipforgeError, failure_of
from schemas.plan import Unit

LONE_DEATHS = 2
"""Deaths of a worker that had only this unit, after which the unit is taken apart."""
WAIT_S = 1.0
ASK_BEATS_EVERY_S = 5.0
SAY_WAITING_EVERY_S = 30.0
_log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class _Slot:
    """One actor and what it is doing."""

    actor: Any
    ready_ref: Any
    started: float = field(default_factory=time.monotonic)
    is_ready: bool = False
    running: dict[Any, Unit] = field(default_factory=dict)
    is_alone: bool = False
    """It has one unit that is under suspicion and gets no other."""
    beats: int = -1
    rows: int = 0
    """Answered by the teacher and not committed, at the last beat."""
    moved: float = field(default_factory=time.monotonic)
    """When there was progress last."""
    beats_ref: Any = None
    asked: float = 0.0


@dataclass(kw_only=True)
class RayRunner:
    """One labelling on a Ray that is connected already.

    num_workers: Actors at once; fewer where fewer units are left.
    attempts: Tries of a unit that fails with an exception.
    hang_s: A worker without any progress for so long is replaced.
    """

    store: RunStore
    spec: WorkerSpec
    progress: LabelProgress
    needs: ActorNeeds
    num_workers: int
    attempts: int
    hang_s: float
    failed: dict[str, str] = field(default_factory=dict)
    _waiting: deque[Unit] = field(default_factory=deque)
    _suspects: deque[Unit] = field(default_factory=deque)
    _slots: list[_Slot] = field(default_factory=list)
    _tries: Counter[str] = field(default_factory=Counter)
    _deaths: Counter[str] = field(default_factory=Counter)
    _isolations: dict[Future[CommitOutcome], Isolating] = field(default_factory=dict)
    _failed_starts: int = 0
    _spec_ref: Any = None
    _clock_runs: bool = False
    _said_waiting: float = field(default_factory=time.monotonic)

    def run(self, units: Sequence[Unit]) -> dict[str, str]:
        """Label units; returns the reason of each that failed, by unit id.

        Raises:
            ConfigError: the teacher cannot be loaded, a store refuses.
            GlipforgeError: no worker starts, or too many rows fail.
        """
        import ray

        self._spec_ref = ray.put(self.spec)
        self._waiting.extend(units)
        with ThreadPoolExecutor(self.num_workers, thread_name_prefix="isolate") as pool:
            try:
                while self._has_work():
                    self._start_workers()
                    self._hand_out()
                    self._take_in()
                    self._replace_hanging()
                    self._isolate(pool)
            finally:
                for slot in self._slots:
                    ray.kill(slot.actor)
                for isolating in self._isolations.values():
                    isolating.stop()  # else the pool would wait for them, maybe for `hang_s`
        return self.failed

    # --- one turn of the loop --------------------------------------------------------------------

    def _has_work(self) -> bool:
        running = any(slot.running for slot in self._slots)
        return bool(self._waiting or self._suspects or self._isolations or running)

    def _start_workers(self) -> None:
        import ray

        left = len(self._waiting) + len(self._suspects) + sum(bool(s.running) for s in self._slots)
        wanted = min(self.num_workers - len(self._isolations), left)
        while len(self._slots) < wanted:
            actor = start_actor(self._spec_ref, self.needs)
            self._slots.append(_Slot(actor=actor, ready_ref=actor.ready.remote()))
        if self._isolations and not left:
            # Nothing is left for them, and an isolation may be waiting for their place.
            for slot in list(self._slots):
                self._slots.remove(slot)
                ray.kill(slot.actor)

    def _hand_out(self) -> None:
        for slot in self._slots:
            if not slot.is_ready or slot.is_alone:
                continue
            if self._suspects and not slot.running:
                slot.is_alone = True
                self._assign(slot, self._suspects.popleft())
                continue
            while self._waiting and len(slot.running) < DEPTH:
                self._assign(slot, self._waiting.popleft())

    def _assign(self, slot: _Slot, unit: Unit) -> None:
        if not slot.running:
            slot.moved = time.monotonic()
        slot.running[slot.actor.label.remote(unit)] = unit

    def _take_in(self) -> None:
        import ray

        refs = [ref for slot in self._slots for ref in slot.running]
        refs += [slot.ready_ref for slot in self._slots if not slot.is_ready]
        refs += [slot.beats_ref for slot in self._slots if slot.beats_ref is not None]
        if not refs:
            time.sleep(WAIT_S / 4)
            return
        done, _ = ray.wait(refs, num_returns=1, timeout=WAIT_S)
        for ref in done:
            for slot in list(self._slots):
                if ref is slot.ready_ref or ref in slot.running or ref is slot.beats_ref:
                    self._take(slot, ref)
                    break
        self.progress.under_way = sum(slot.rows for slot in self._slots)
        self.progress.tell()
        self._say_waiting()

    def _take(self, slot: _Slot, ref: Any) -> None:
        import ray
        from ray.exceptions import RayError, RayTaskError

        try:
            answer = ray.get(ref)
        except RayTaskError as error:
            self._take_exception(slot, ref, error)
        except RayError as error:  # the actor or its node is gone
            self._bury(slot, why_it_ended(error), lost_node=lost_its_node(error))
        else:
            slot.moved = time.monotonic() if ref is not slot.beats_ref else slot.moved
            if ref is slot.beats_ref:
                slot.beats_ref = None
                if answer.signs != slot.beats:
                    slot.beats, slot.moved = answer.signs, time.monotonic()
                slot.rows = answer.rows
            elif not slot.is_ready:
                self._set_ready(slot)
            else:
                slot.running.pop(ref)
                slot.is_alone = False
                slot.rows = max(0, slot.rows - answer.commit.rows_out)
                self.progress.under_way = sum(slot.rows for slot in self._slots)
                self.progress.commit(answer)

    def _set_ready(self, slot: _Slot) -> None:
        slot.is_ready = True
        self._failed_starts = 0
        if not self._clock_runs:
            self._clock_runs = True
            self.progress.start_clock()

    def _take_exception(self, slot: _Slot, ref: Any, error: Any) -> None:
        cause = error.cause if isinstance(error.cause, BaseException) else error
        if isinstance(cause, ConfigError):
            raise cause
        reason = failure_of(cause)
        if ref is slot.beats_ref:
            slot.beats_ref = None
            return
        if not slot.is_ready:
            self._bury(slot, reason)
            return
        unit = slot.running.pop(ref)
        slot.is_alone = False
        self._tries[unit.unit_id] += 1
        _log.warning("unit %s, try %d: %s", unit.unit_id, self._tries[unit.unit_id], reason)
        if self._tries[unit.unit_id] < self.attempts:
            self._waiting.append(unit)
        else:
            self.failed[unit.unit_id] = reason

    def _bury(self, slot: _Slot, reason: str, *, lost_node: bool = False) -> None:
        import ray

        ray.kill(slot.actor)  # a node that is only out of reach may come back with it
        self._slots.remove(slot)
        if not slot.is_ready:
            self._failed_starts += not lost_node
            if lost_node:
                _log.warning("a worker's node was lost while it loaded: %s", reason)
            elif self._failed_starts >= MAX_FAILED_STARTS:
                raise GlipforgeError(
                    f"{MAX_FAILED_STARTS} workers in a row died while loading the teacher; the "
                    f"last said: {reason}"
                )
            return
        self.progress.replaced += 1
        units = list(slot.running.values())
        for unit in units:
            self._deaths[unit.unit_id] += len(units) == 1
        _log.warning(
            "a worker died (%s) with %s", reason, ", ".join(unit.unit_id for unit in units)
        )
        self._suspects.extend(units)

    def _replace_hanging(self) -> None:
        now = time.monotonic()
        for slot in list(self._slots):
            if not slot.is_ready or not slot.running:
                continue
            if now - slot.moved > self.hang_s:
                self._bury(slot, f"no progress for {self.hang_s:.0f} s")
            elif slot.beats_ref is None and now - slot.asked > ASK_BEATS_EVERY_S:
                slot.beats_ref, slot.asked = slot.actor.beat.remote(), now

    def _isolate(self, pool: ThreadPoolExecutor) -> None:
        for unit in [u for u in self._suspects if self._deaths[u.unit_id] >= LONE_DEATHS]:
            self._suspects.remove(unit)
            isolation = Isolation(
                store=self.store,
                spec_ref=self._spec_ref,
                needs=self.needs,
                teacher_id=self.spec.setup.teacher_id(),
                hang_s=self.hang_s,
            )
            _log.warning("unit %s is taken apart", unit.unit_id)
            isolating = Isolating(isolation, unit, self._deaths[unit.unit_id])
            self._isolations[pool.submit(isolating.run)] = isolating
        for future in [future for future in self._isolations if future.done()]:
            unit = self._isolations.pop(future).unit
            try:
                self.progress.commit(future.result())
            except ConfigError:
                raise
            except Exception as error:
                if future.exception() is None:
                    raise  # not the unit's: the budget of failures
                self.failed[unit.unit_id] = failure_of(error)

    def _say_waiting(self) -> None:
        """Nothing is ready: say what is asked for, and what there is."""
        import ray

        if any(slot.is_ready for slot in self._slots):
            self._said_waiting = time.monotonic()
            return
        if time.monotonic() - self._said_waiting > SAY_WAITING_EVERY_S:
            self._said_waiting = time.monotonic()
            free = ray.available_resources()  # type: ignore[no-untyped-call]
            _log.warning(
                "waiting for workers (%s); the cluster has %s free",
                self.needs,
                {k: v for k, v in free.items() if k in ("CPU", "GPU")},
            )
