"""Random sequences of two reviewers' clicks, pulls, pushes and kills, against a model of the truth.

`GLIPFORGE_SEQUENCES=5000 pytest tests/pipeline/review/test_any_sequence.py` runs more of them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
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
from pipeline.review.sync.store.label_store import LabelStore, Wanted
from pipeline.review.sync.store.write_labels import write_labels
from pipeline.review.sync.verdict.verdicts import judge_boxes
from schemas.records import Annotation, Decision, Verdict
from tests.pipeline.review.bench import Bench

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
        self.words: dict[str, dict[str, Verdict]] = {}
        """Box -> reviewer -> the last word."""
        self.last: dict[str, tuple[str, Verdict]] = {}
        self.moved: dict[str, tuple[float, ...]] = {}
        self.gone: set[str] = set()
        """Boxes that a reviewer deleted."""
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
            if box.box_id not in self.gone
        ]

    def _store(self, who: str) -> LabelStore:
        return LabelStore(self.bench.stored.samples, reviewer=who)

    def _ids(self, box_id: str) -> tuple[ObjectId, list[ObjectId]]:
        return sample_object_id(box_id.split("#")[0]), [label_object_id(box_id)]

    def _said(self, who: str, box_id: str, verdict: Verdict) -> None:
        of_box = self.words.setdefault(box_id, {})
        of_box[who] = verdict
        self.last[box_id] = (who, verdict)

    @rule(who=st.sampled_from(PEOPLE), word=st.sampled_from(sorted(WORDS)), data=st.data())
    @precondition(lambda self: self._open_boxes())
    def judge(self, who: str, word: str, data: Any) -> None:
        box_id = data.draw(st.sampled_from(self._open_boxes()))
        moved = box_id in self.moved
        judge_boxes(self._store(who), *self._ids(box_id), Review(word))
        verdict = WORDS[word]
        self._said(who, box_id, Verdict.EDIT if moved and verdict == Verdict.KEEP else verdict)

    @rule(who=st.sampled_from(PEOPLE), place=st.sampled_from(PLACES), data=st.data())
    @precondition(lambda self: self._open_boxes())
    def move(self, who: str, place: tuple[float, ...], data: Any) -> None:
        box_id = data.draw(st.sampled_from(self._open_boxes()))
        changed = {"review": "fixed", "bounding_box": list(place), "reviewer": who}
        write_labels(self._store(who), *self._ids(box_id), lambda label: changed, action="move")
        self.moved[box_id] = place
        whole = place == (0.0, 0.0, 1.0, 1.0) and box_id.endswith("#2")
        self._said(who, box_id, Verdict.KEEP if whole else Verdict.EDIT)
        if whole:
            del self.moved[box_id]

    @rule(who=st.sampled_from(PEOPLE), data=st.data())
    @precondition(lambda self: self._open_boxes())
    def delete_box(self, who: str, data: Any) -> None:
        box_id = data.draw(st.sampled_from(self._open_boxes()))
        sample_id, (label_id,) = self._ids(box_id)

        def without(document: dict[str, Any]) -> Wanted:
            return Wanted(labels=[e for e in labels_of(document) if e["_id"] != label_id])

        self._store(who).rewrite(sample_id, without, action="delete")
        self.gone.add(box_id)
        self._said(who, box_id, Verdict.DROP)

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

    # --- what must be true ---------------------------------------------------------------------

    @invariant()
    def nobody_judged_what_they_did_not(self) -> None:
        for decision in self.log:
            if decision.box_id:
                assert decision.reviewer in self.words.get(decision.box_id, {}), decision
            else:
                assert decision.record_id in self.deleted, decision

    @invariant()
    def untouched_boxes_are_the_same_bit_for_bit(self) -> None:
        for document in self.bench.stored.samples.find({}):
            for label in document["boxes"]["detections"]:
                if label["box_id"] not in self.words:
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
            said = self.words.get(box.box_id)
            if said is None:
                assert standing.review == Review.PENDING
                assert standing.xyxy == box.xyxy
                continue
            who, verdict = self.last[box.box_id]
            latest = histories[box.box_id].latest
            assert latest is not None
            assert (latest.reviewer, latest.verdict) == (who, verdict)
            for person, word in said.items():
                own = [d for d in histories[box.box_id].decisions if d.reviewer == person]
                assert own, (person, box.box_id)
                assert own[-1].verdict == word
            if verdict == Verdict.EDIT:
                x, y, w, h = self.moved[box.box_id]
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
