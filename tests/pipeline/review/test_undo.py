"""A click taken back, alone and between two reviewers, before and after pulls and pushes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from bson import ObjectId

from pipeline.curation.agreement import agreements
from pipeline.curation.box_state import PairReview, Review
from pipeline.curation.decisions import load_decisions
from pipeline.review.sync.label.documents import label_object_id, sample_object_id
from pipeline.review.sync.label.notes import NO_NOTES, Suspicion
from pipeline.review.sync.label.seen import labels_of
from pipeline.review.sync.store.label_store import LabelStore, Wanted, WriteRefused
from pipeline.review.sync.store.write_labels import write_labels
from pipeline.review.sync.verdict.undo import undo_last
from pipeline.review.sync.verdict.verdicts import judge_boxes, judge_pair
from schemas.records import Verdict
from tests.pipeline.review.bench import Bench

pytestmark = [pytest.mark.slow, pytest.mark.fiftyone]

BOX = "toy/0#0"
PAIR = sample_object_id("toy/0")
IDS: list[ObjectId] = [label_object_id(BOX)]


def people(bench: Bench) -> tuple[LabelStore, LabelStore]:
    """Alice and bob."""
    alice, bob = (LabelStore(bench.stored.samples, reviewer=name) for name in ("alice", "bob"))
    return alice, bob


def undo(bench: Bench, store: LabelStore) -> None:
    undo_last(store, bench.stored.dataset_id)


def told(bench: Bench) -> list[tuple[str, Verdict]]:
    return [(d.reviewer, d.verdict) for d in load_decisions(bench.run)]


def test_a_word_taken_back_before_a_pull_was_never_said_and_the_others_is_theirs(
    bench: Bench,
) -> None:
    bench.push()
    fresh = bench.label(BOX)
    alice, bob = people(bench)
    judge_boxes(alice, PAIR, IDS, Review.REJECTED)
    undo(bench, alice)
    assert bench.label(BOX) == fresh
    judge_boxes(bob, PAIR, IDS, Review.ACCEPTED)
    of_bob = bench.label(BOX)
    judge_boxes(alice, PAIR, IDS, Review.REJECTED)
    judge_pair(bob, PAIR, PairReview.DONE)
    judge_pair(alice, PAIR, PairReview.BAD, reason="blurred")
    undo(bench, alice)
    undo(bench, alice)
    assert bench.label(BOX) == of_bob
    bench.pull()
    assert told(bench) == [("bob", Verdict.KEEP), ("bob", Verdict.DONE)]
    assert bench.document()["pair_reviewer"] == "bob"
    assert bench.pull().decisions == []


def test_a_word_taken_back_after_a_pull_is_withdrawn_and_the_one_below_stands_again(
    bench: Bench,
) -> None:
    bench.push()
    alice, bob = people(bench)
    judge_boxes(bob, PAIR, IDS, Review.ACCEPTED)
    judge_boxes(alice, PAIR, IDS, Review.REJECTED)
    judge_pair(alice, PAIR, PairReview.BAD, reason="blurred")
    bench.pull()
    undo(bench, alice)
    undo(bench, alice)
    report = bench.pull()
    assert [(d.reviewer, d.verdict) for d in report.decisions if d.box_id] == [
        ("alice", Verdict.OPEN),
        ("bob", Verdict.KEEP),
    ]
    assert [d.verdict for d in report.decisions if not d.box_id] == [Verdict.OPEN]
    assert agreements(load_decisions(bench.run)) == []  # alice holds no word
    bench.push()
    label = bench.label(BOX)
    assert (label["review"], label["reviewer"]) == ("accepted", "bob")
    assert bench.pull().decisions == []


def test_only_the_word_of_another_stands_in_the_way_not_what_pull_and_push_write(
    bench: Bench,
) -> None:
    bench.push()
    alice, bob = people(bench)
    place = [0.123456789, 0.1, 0.3, 0.3]
    moved = {"bounding_box": place, "review": "fixed"}
    write_labels(alice, PAIR, IDS, lambda label: moved, action="move")
    bench.pull()
    bench.push(notes=replace(NO_NOTES, suspects={BOX: Suspicion(score=0.7, reasons=("why",))}))
    assert bench.label(BOX)["queue_score"] == 0.7
    assert bench.label(BOX)["bounding_box"] != place  # in 32 bits
    undo(bench, alice)
    assert bench.label(BOX)["review"] == "pending"
    judge_boxes(alice, PAIR, IDS, Review.REJECTED)
    judge_boxes(bob, PAIR, IDS, Review.REJECTED)
    with pytest.raises(WriteRefused, match="bob judged the same box since"):
        undo(bench, alice)
    undo(bench, bob)
    undo(bench, alice)
    assert bench.label(BOX)["review"] == "pending"


def test_a_box_deleted_after_an_undo_had_brought_it_back_stays_deleted_through_a_push(
    bench: Bench,
) -> None:
    bench.push()
    alice, bob = people(bench)

    def without(document: dict[str, Any]) -> Wanted:
        return Wanted(labels=[label for label in labels_of(document) if label["_id"] != IDS[0]])

    bob.rewrite(PAIR, without, action="delete")
    bench.pull()
    undo(bench, bob)
    alice.rewrite(PAIR, without, action="delete")
    bench.push()
    assert IDS[0] not in [label["_id"] for label in labels_of(bench.document())]
    bench.pull()
    assert told(bench) == [
        ("bob", Verdict.DROP),
        ("bob", Verdict.OPEN),
        ("alice", Verdict.DROP),
    ]
    bench.push()
    assert bench.pull().decisions == []
