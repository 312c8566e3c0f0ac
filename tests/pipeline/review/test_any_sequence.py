"""Random sequences of two reviewers' clicks and undos, pulls, pushes and kills, against a model of
what is true.

`GLIPFORGE_SEQUENCES=5000 pytest tests/pipeline/review/test_any_sequence.py` runs more of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bson import ObjectId
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from pipeline.curation.box_state import Review, box_histories, pair_history
from pipeline.curation.decisions import decisions_by_record
from pipeline.review.sync.label.documents import label_object_id, sample_object_id
from pipeline.review.sync.label.seen import labels_of
from pipeline.review.sync.pull.pull import pull
from pipeline.review.sync.push.media import MediaStore
from pipeline.review.sync.push.push import forget, push
from pipeline.review.sync.push.selection import Selection
from pipeline.review.sync.store.label_store import LabelStore, Wanted, WriteRefused, Written
from pipeline.review.sync.store.write_labels import write_labels
from pipeline.review.sync.verdict.undo import undo_last
from pipeline.review.sync.verdict.verdicts import judge_boxes
from schemas.records import Annotation, Decision, Verdict
from tests.pipeline.review.bench import Bench
from tests.pipeline.review.box_state import UNTOUCHED, BoxState

pytestmark = [pytest.mark.slow, pytest.mark.fiftyone]

SEQUENCES = int(os.environ.get("GLIPFORGE_SEQUENCES", "200"))
PEOPLE = ("alice", "bob")
PLACES = ((0.1, 0.1, 0.3, 0.3), (0.5, 0.25, 0.25, 0.5), (0.0, 0.0, 1.0, 1.0))
WORDS = {"accepted": Verdict.KEEP, "rejected": Verdict.DROP}


class Killed(BaseException):
    """Ends a command where a kill would."""


class Machine(RuleBasedStateMachine):
    """Two reviewers on one dataset."""

    bench: Bench

    def __init__(self) -> None:
        super().__init__()
        stored = self.bench.stored
        stored.samples.delete_many({})
        forget(stored)
        self.log: list[Decision] = []
        self.states: dict[str, BoxState] = {}
        self.spoke: dict[str, set[str]] = {}
        """Box -> who ever said a word, also where it was taken back."""
        self.clicks: dict[str, list[tuple[str, BoxState, BoxState]]] = {who: [] for who in PEOPLE}
        """Reviewer -> (box, before, after) of what they can take back, oldest first."""
        self.deleted: set[str] = set()
        """Pairs whose sample was deleted."""
        self._push()
        self.fresh = {
            label["_id"]: label
            for document in stored.samples.find({})
            for label in document["boxes"]["detections"]
        }

    # --- what people do ------------------------------------------------------------------------

    def _open_boxes(self) -> list[str]:
        return [
            box.box_id
            for row in self.bench.rows
            if row.record_id not in self.deleted
            for box in row.boxes
            if not self._state(box.box_id).is_gone
        ]

    def _state(self, box_id: str) -> BoxState:
        return self.states.get(box_id, UNTOUCHED)

    def _store(self, who: str) -> LabelStore:
        return LabelStore(self.bench.stored.samples, reviewer=who)

    def _ids(self, box_id: str) -> tuple[ObjectId, list[ObjectId]]:
        return sample_object_id(box_id.split("#")[0]), [label_object_id(box_id)]

    def _said(
        self,
        who: str,
        box_id: str,
        verdict: Verdict,
        written: Written,
        *,
        place: tuple[float, ...] | None,
        is_gone: bool = False,
    ) -> None:
        if not written.changed:
            return  # the same word again
        before = self._state(box_id)
        after = BoxState(
            words={**before.words, who: verdict},
            last=(who, verdict),
            place=place,
            is_gone=is_gone,
        )
        self.states[box_id] = after
        self.spoke.setdefault(box_id, set()).add(who)
        self.clicks[who].append((box_id, before, after))

    @rule(who=st.sampled_from(PEOPLE), word=st.sampled_from(sorted(WORDS)), data=st.data())
    @precondition(lambda self: self._open_boxes())
    def judge(self, who: str, word: str, data: Any) -> None:
        box_id = data.draw(st.sampled_from(self._open_boxes()))
        place = self._state(box_id).place
        written = judge_boxes(self._store(who), *self._ids(box_id), Review(word))
        verdict = WORDS[word]
        if place is not None and verdict == Verdict.KEEP:
            verdict = Verdict.EDIT
        self._said(who, box_id, verdict, written, place=place)

    @rule(who=st.sampled_from(PEOPLE), place=st.sampled_from(PLACES), data=st.data())
    @precondition(lambda self: self._open_boxes())
    def move(self, who: str, place: tuple[float, ...], data: Any) -> None:
        box_id = data.draw(st.sampled_from(self._open_boxes()))
        changed = {"review": "fixed", "bounding_box": list(place), "reviewer": who}
        written = write_labels(
            self._store(who), *self._ids(box_id), lambda label: changed, action="move"
        )
        if place == (0.0, 0.0, 1.0, 1.0) and box_id.endswith("#2"):  # where the teacher has it
            self._said(who, box_id, Verdict.KEEP, written, place=None)
        else:
            self._said(who, box_id, Verdict.EDIT, written, place=place)

    @rule(who=st.sampled_from(PEOPLE), data=st.data())
    @precondition(lambda self: self._open_boxes())
    def delete_box(self, who: str, data: Any) -> None:
        box_id = data.draw(st.sampled_from(self._open_boxes()))
        sample_id, (label_id,) = self._ids(box_id)

        def without(document: dict[str, Any]) -> Wanted:
            return Wanted(labels=[e for e in labels_of(document) if e["_id"] != label_id])

        written = self._store(who).rewrite(sample_id, without, action="delete")
        place = self._state(box_id).place
        self._said(who, box_id, Verdict.DROP, written, place=place, is_gone=True)

    @rule(who=st.sampled_from(PEOPLE))
    def undo(self, who: str) -> None:
        """Only where the box is as the click left it: else it is refused."""
        box_id, before, after = (self.clicks[who] or [("", UNTOUCHED, UNTOUCHED)])[-1]
        stands = box_id.split("#")[0] not in self.deleted and self._state(box_id) is after
        try:
            undo_last(self._store(who), self.bench.stored.dataset_id)
        except WriteRefused:
            assert not box_id or not stands
            return
        assert box_id
        assert stands
        self.states[box_id] = before
        self.clicks[who].pop()

    @rule(number=st.integers(0, 2))
    @precondition(lambda self: not self.deleted)
    def delete_sample(self, number: int) -> None:
        self.bench.stored.samples.delete_one({"_id": sample_object_id(f"toy/{number}")})
        self.deleted.add(f"toy/{number}")

    # --- commands ------------------------------------------------------------------------------

    def _push(self) -> None:
        push(
            self.bench.stored,
            lambda: iter(self.bench.rows),
            self.log,
            media=MediaStore(self.bench.session.home.media),
            selection=Selection(),
        )

    def _pull(self, append: Any) -> None:
        pull(self.bench.stored, self.bench.rows, self.log, append=append, reviewer="puller")

    @rule()
    def push_again(self) -> None:
        self._push()

    @rule()
    def take(self) -> None:
        self._pull(self.log.extend)

    @rule(written=st.booleans())
    def take_and_be_killed(self, written: bool) -> None:
        def append(rows: Sequence[Decision]) -> None:
            if written:
                self.log.extend(rows)
            raise Killed

        with suppress(Killed):
            self._pull(append)

    @rule(who=st.sampled_from(PEOPLE), data=st.data())
    @precondition(lambda self: self._open_boxes())
    def take_while_somebody_works(self, who: str, data: Any) -> None:
        """A click or an undo between what a pull reads and what it marks."""
        work: Callable[[], None] = data.draw(
            st.sampled_from([lambda: self.undo(who), lambda: self.judge(who, "rejected", data)])
        )

        def append(rows: Sequence[Decision]) -> None:
            self.log.extend(rows)
            work()

        self._pull(append)

    # --- what must be true ---------------------------------------------------------------------

    @invariant()
    def nobody_judged_what_they_did_not(self) -> None:
        for decision in self.log:
            if decision.box_id:
                assert decision.reviewer in self.spoke.get(decision.box_id, ()), decision
            else:
                assert decision.record_id in self.deleted, decision

    @invariant()
    def untouched_boxes_are_the_same_bit_for_bit(self) -> None:
        for document in self.bench.stored.samples.find({}):
            for label in document["boxes"]["detections"]:
                if label["box_id"] not in self.spoke:
                    assert label == self.fresh[label["_id"]]

    def teardown(self) -> None:
        """All is pulled in the end: no word is lost."""
        self._pull(self.log.extend)
        before = len(self.log)
        self._push()
        self._pull(self.log.extend)
        assert len(self.log) == before
        by_record = decisions_by_record(self.log)
        for row in self.bench.rows:
            self._check_pair(row, by_record.get(row.record_id, []))

    def _check_pair(self, row: Annotation, decided: list[Decision]) -> None:
        bad = pair_history(decided).current().review == "bad"
        assert bad == (row.record_id in self.deleted)
        histories = box_histories(row, decided)
        present = self.bench.stored.documents([sample_object_id(row.record_id)])
        assert bool(present) == (row.record_id not in self.deleted)
        for box in row.boxes:
            standing = histories[box.box_id].current()
            state = self._state(box.box_id)
            for person in PEOPLE:
                own = [d for d in histories[box.box_id].decisions if d.reviewer == person]
                word = own[-1].verdict if own else Verdict.OPEN
                assert word == state.words.get(person, Verdict.OPEN), (person, box.box_id)
            if state.last is None:
                assert standing.review == Review.PENDING
                assert standing.xyxy == box.xyxy
                continue
            latest = histories[box.box_id].latest
            assert latest is not None
            assert (latest.reviewer, latest.verdict) == state.last
            if state.last[1] == Verdict.EDIT:
                assert state.place is not None
                x, y, w, h = state.place
                wanted = np.array([x * 64, y * 48, (x + w) * 64, (y + h) * 48], np.float32)
                assert standing.xyxy == tuple(float(v) for v in wanted)


@pytest.fixture
def machine_bench(bench: Bench) -> Bench:
    Machine.bench = bench
    return bench


@pytest.mark.timeout(3600)
def test_any_sequence_of_two_reviewers(machine_bench: Bench, tmp_path: Path) -> None:
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=SEQUENCES,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            derandomize="GLIPFORGE_SEQUENCES" not in os.environ,
        ),
    )
