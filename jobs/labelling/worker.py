"""A worker that labels units: plain Python, the same under Ray, in one process and in the tests.

Two units may be in it at once: while one has the teacher, the next is read, cut into phrases and
decoded, and the one before is written. The teacher itself is asked by one unit at a time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from typing import NamedTuple

from jobs.labelling.retry import label_again
from jobs.labelling.setup import Corpus, LabelSetup
from pipeline.images.access import ANYTHING
from pipeline.images.decoders import DecoderProcesses
from pipeline.labelling.annotate_unit import AnnotateOptions, UnitRows, annotate_unit
from pipeline.labelling.held_bytes import HeldBytes
from pipeline.run.commit_protocol import marker_path
from pipeline.run.commit_unit import CommitOutcome, commit_unit
from pipeline.run.relocation import moved_places
from pipeline.run.store import RunStore
from schemas.errors import RetryableError
from schemas.fingerprint import canonical_json, require_same
from schemas.grounder import Grounder, Grounding, GroundingRequest
from schemas.plan import Unit
from schemas.records import Annotation, CorpusRecord

DEPTH = 2
"""Units in a worker at once."""


class Beat(NamedTuple):
    """A sign of life."""

    signs: int
    """Grows while there is progress: with every record read and every batch of the teacher."""
    rows: int
    """Rows that the teacher has answered of units that are not committed yet, roughly."""


@dataclass(frozen=True, kw_only=True)
class WorkerSpec:
    """Everything that a worker needs; sent to it once."""

    run: str
    setup: LabelSetup
    corpus: Corpus
    plan_id: str
    config: dict[str, object]
    """The plan's `teacher` and `phrases`."""
    call_size: int
    decode_threads: int
    retry: tuple[str, ...] = ()
    """Statuses: in units that are committed, rows of these are labelled again."""


class LabelWorker:
    """Loads the tools once, then labels units.

    Args:
        spec: What to load and where to write.
        on_commit: Called with every outcome, for metrics.

    Raises:
        FingerprintMismatch: what was loaded here is not what the run was planned with.
    """

    def __init__(
        self,
        spec: WorkerSpec,
        *,
        on_commit: Callable[[CommitOutcome], object] = lambda outcome: None,
    ) -> None:
        self.spec = spec
        self.store = RunStore(spec.run)
        self.store.know_plan_id(spec.plan_id)
        self.tools = spec.setup.load()
        self._require_planned_tools()
        self._watched = _Watched(self.tools.grounder)
        self.tools.set_before_batch(self._watched.beat)
        access = getattr(spec.corpus, "access", ANYTHING)
        self.options = AnnotateOptions(
            limits=replace(
                spec.setup.limits, access=replace(access, moved=moved_places(self.store))
            ),
            call_size=spec.call_size,
            size_key=self.tools.size_key,
        )
        self._pool = ThreadPoolExecutor(spec.decode_threads, thread_name_prefix="decode")
        self._decoder = DecoderProcesses(spec.decode_threads)
        self._memory = HeldBytes()
        self._turn = threading.Lock()
        self._under_way: list[_Asked] = []
        self._batch_size = max(1, getattr(getattr(spec.setup, "options", None), "batch_size", 1))
        self._on_commit = on_commit
        self._reading: _Reading | None = None

    def ready(self) -> str:
        """The teacher's note, once the worker can work."""
        return self.tools.note

    def label(self, unit: Unit) -> CommitOutcome:
        """Label a unit and commit it. May be called by several threads.

        Raises:
            UnitError: the unit cannot be read, or the teacher is broken.
            RetryableError: a store failed.
        """
        began = time.perf_counter()
        asked = _Asked(self._watched, self._batch_size)
        self._under_way.append(asked)
        try:
            if self.spec.retry and (outcome := self._label_again(unit, asked)) is not None:
                return outcome
            if not self.spec.retry and (done := self._done_by_another(unit)) is not None:
                return done
            found = self._annotate(self.spec.corpus.read(unit), asked)
        finally:
            self._under_way.remove(asked)
        outcome = commit_unit(
            self.store,
            unit,
            found.rows,
            rows_in=found.rows_in,
            teacher_id=self.tools.grounder.teacher_id,
            seconds=found.seconds | {"total": time.perf_counter() - began},
            batch_failures=found.batch_failures,
        )
        self._on_commit(outcome)
        return outcome

    def _done_by_another(self, unit: Unit) -> CommitOutcome | None:
        """The commit of a driver that took the run while this one stood still."""
        if not self.store.has(marker_path(unit.unit_id)):
            return None
        store = RunStore(self.spec.run)
        store.know_plan_id(self.spec.plan_id)
        commit = store.read_markers([unit.unit_id]).get(unit.unit_id)
        return None if commit is None else CommitOutcome(won=False, commit=commit)

    def _label_again(self, unit: Unit, asked: Grounder) -> CommitOutcome | None:
        store = RunStore(self.spec.run)  # one that remembers no marker
        store.know_plan_id(self.spec.plan_id)
        return label_again(
            store,
            unit,
            self.spec.retry,
            read=lambda: self.spec.corpus.read(unit),
            annotate=lambda records: self._annotate(records, asked),
        )

    def beat(self) -> Beat:
        """Whether there is progress, and how much of it is not committed."""
        rows = sum(asked.rows() for asked in list(self._under_way))
        return Beat(self._watched.beats, rows)

    def stop(self) -> None:
        """Let the units that are under way fail at the teacher's next batch."""
        self._watched.is_stopped = True

    def list_records(self, unit: Unit) -> list[CorpusRecord]:
        """The records of a unit without their images: what isolation counts in."""
        return [replace(record, image_bytes=None) for record in self.spec.corpus.read(unit)]

    def label_range(self, unit: Unit, start: int, stop: int) -> list[Annotation]:
        """Rows of the records [start, stop) of a unit; nothing is committed.

        Ranges that follow each other read the unit once. For one thread.
        """
        reading = self._reading
        if reading is None or reading.unit != unit or reading.position != start:
            records = iter(self.spec.corpus.read(unit))
            reading = self._reading = _Reading(unit, islice(records, start, None), start)
        reading.position = stop
        records = islice(reading.records, stop - start)
        return list(self._annotate(records, self._watched).rows)

    def _annotate(self, records: Iterable[CorpusRecord], grounder: Grounder) -> UnitRows:
        return annotate_unit(
            self._watched.count(records),
            grounder,
            self.tools.parser,
            self.options,
            pool=self._pool,
            turn=self._turn,
            decoder=self._decoder,
            memory=self._memory,
            make_row=self.tools.make_row,
        )

    def _require_planned_tools(self) -> None:
        loaded = {
            "teacher": canonical_json(dict(self.tools.grounder.fingerprint())),
            "phrases": canonical_json(self.tools.parser.fingerprint()),
        }
        planned = {name: canonical_json(self.spec.config[name]) for name in loaded}
        require_same(
            planned,
            loaded,
            where="the plan",
            remedy="The teacher or the parser of this worker's machine is not the driver's",
        )


@dataclass
class _Reading:
    """A unit that isolation is reading: the next record is that at `position`."""

    unit: Unit
    records: Iterator[CorpusRecord]
    position: int


class Stopped(RetryableError):
    """The run is being ended; the unit is not to blame."""


class _Watched:
    """The teacher, with a counter that shows from outside that there is progress."""

    def __init__(self, grounder: Grounder) -> None:
        self._grounder = grounder
        self.beats = 0
        self.batches = 0
        self.is_stopped = False

    @property
    def teacher_id(self) -> str:
        return self._grounder.teacher_id

    def fingerprint(self) -> Mapping[str, object]:
        return self._grounder.fingerprint()

    def ground(self, requests: Sequence[GroundingRequest]) -> list[Grounding]:
        self.beats += 1
        if self.is_stopped:
            raise Stopped("the run was stopped")
        answers = self._grounder.ground(requests)
        self.beats += 1
        return answers

    def beat(self) -> None:
        """Called before each batch: a call may take minutes on a CPU."""
        if self.is_stopped:
            raise Stopped("the run was stopped")
        self.beats += 1
        self.batches += 1

    def count(self, records: Iterable[CorpusRecord]) -> Iterator[CorpusRecord]:
        for record in records:
            self.beats += 1
            yield record
            del record  # it may hold an image, which must go before the next one is read


class _Asked:
    """The watched teacher as one unit asks it, with the number of rows that it has answered."""

    def __init__(self, watched: _Watched, batch_size: int) -> None:
        self._watched = watched
        self._batch_size = batch_size
        self._answered = 0
        self._asking = 0
        self._beats_before = 0

    @property
    def teacher_id(self) -> str:
        return self._watched.teacher_id

    def fingerprint(self) -> Mapping[str, object]:
        return self._watched.fingerprint()

    def ground(self, requests: Sequence[GroundingRequest]) -> list[Grounding]:
        self._beats_before, self._asking = self._watched.batches, len(requests)
        try:
            answers = self._watched.ground(requests)
        finally:
            self._asking = 0
        self._answered += len(requests)
        return answers

    def rows(self) -> int:
        """Of a call that is under way, by its batches: one may take minutes on a CPU."""
        begun = self._watched.batches - self._beats_before - 1
        return self._answered + min(self._asking, max(0, begun) * self._batch_size)
