"""Several reviewers on one database: who said what and when, and deleted samples."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from bson import ObjectId

from pipeline.curation.box_state import PairReview, Review
from pipeline.curation.decisions import append_decisions, load_decisions
from pipeline.review.sync.label.documents import label_object_id, sample_object_id
from pipeline.review.sync.pull.pull import MANY_DELETED, pull
from pipeline.review.sync.store.journal import journal_entries
from pipeline.review.sync.store.label_store import LabelStore, WriteRefused
from pipeline.review.sync.verdict.verdicts import judge_boxes, judge_pair
from schemas.records import Verdict
from tests.pipeline.review.bench import Bench

pytestmark = [pytest.mark.slow, pytest.mark.fiftyone]


def at(second: int) -> str:
    return f"2026-02-01T00:00:{second:02d}.000000Z"


def entries_of(bench: Bench) -> Any:
    """The journal's collection."""
    return journal_entries(bench.stored.samples.database, bench.stored.dataset_id)


def write(bench: Bench, box_id: str, who: str, second: int, **values: Any) -> None:
    """As the App does: the label with its stamp, and the journal."""
    sample_id = sample_object_id(box_id.split("#")[0])
    label_id = label_object_id(box_id)
    before = bench.label(box_id)
    after = {**before, **values, "reviewer": who, "reviewed_at": at(second)}
    entries_of(bench).insert_one(
        {
            "sample_id": sample_id,
            "reviewer": who,
            "at": at(second),
            "label_id": label_id,
            "before": before,
            "after": after,
        }
    )
    bench.stored.samples.update_one(
        {"_id": sample_id, "boxes.detections._id": label_id},
        {"$set": {"boxes.detections.$": after}},
    )


def told(bench: Bench) -> list[tuple[str, str, Verdict]]:
    return [(d.reviewer, d.box_id, d.verdict) for d in load_decisions(bench.run)]


def test_each_verdict_keeps_its_reviewer_its_time_and_what_was_before(bench: Bench) -> None:
    bench.push()
    write(bench, "toy/0#0", "alice", 1, review="accepted")
    write(bench, "toy/0#1", "bob", 2, review="rejected")
    write(bench, "toy/0#2", "bob", 3, bounding_box=[0.25, 0.25, 0.5, 0.5], review="fixed")
    bench.set("toy/1#0", "review", "accepted")  # by something that is no App of ours
    report = bench.pull()
    assert report.reviewers() == {"alice": 1, "bob": 2, "ann": 1}
    by_box = {d.box_id: d for d in load_decisions(bench.run)}
    assert by_box["toy/0#0"].decided_at == at(1)
    assert by_box["toy/0#0"].before_review == "pending"
    moved = by_box["toy/0#2"]
    assert (moved.reviewer, moved.decided_at, moved.xyxy) == ("bob", at(3), (16, 12, 48, 36))
    assert (moved.before_xyxy, moved.before_phrase_index) == ((0.0, 0.0, 64.0, 48.0), 1)
    assert bench.pull().decisions == []


def test_a_word_that_another_reviewer_replaced_is_not_lost(bench: Bench) -> None:
    bench.push()
    write(bench, "toy/0#0", "alice", 1, review="rejected")
    write(bench, "toy/0#0", "bob", 2, review="accepted")
    write(bench, "toy/0#1", "alice", 3, review="accepted")
    write(bench, "toy/0#1", "bob", 4, review="accepted")  # a second opinion, the same
    bench.pull()
    assert told(bench) == [
        ("alice", "toy/0#0", Verdict.DROP),
        ("bob", "toy/0#0", Verdict.KEEP),
        ("alice", "toy/0#1", Verdict.KEEP),
        ("bob", "toy/0#1", Verdict.KEEP),
    ]
    assert [d.before_review for d in load_decisions(bench.run)][1] == "rejected"
    assert bench.pull().decisions == []
    bench.push()
    assert bench.label("toy/0#0")["reviewer"] == "bob"
    assert bench.pull().decisions == []


def test_an_entry_whose_write_never_came_is_no_verdict(bench: Bench) -> None:
    bench.push()
    before = bench.label("toy/0#0")
    entries_of(bench).insert_one(
        {
            "sample_id": sample_object_id("toy/0"),
            "reviewer": "alice",
            "at": at(1),
            "label_id": before["_id"],
            "before": before,
            "after": before | {"review": "rejected", "reviewed_at": at(1)},
        }
    )
    assert bench.pull().decisions == []


def test_pulling_again_after_a_pull_that_could_not_mark(bench: Bench) -> None:
    bench.push()
    write(bench, "toy/0#0", "alice", 1, review="rejected")
    write(bench, "toy/0#0", "bob", 2, review="accepted")

    def append(rows: Any) -> None:
        append_decisions(bench.run, rows)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pull(bench.stored, bench.rows, [], append=append, reviewer="ann")
    assert bench.pull().decisions == []
    assert len(told(bench)) == 2
    assert bench.label("toy/0#0")["decision_id"] == load_decisions(bench.run)[-1].decision_id


def test_a_deleted_sample_is_bad_and_stays_away_until_asked_for(bench: Bench) -> None:
    bench.push()
    bench.dataset.delete_samples([str(sample_object_id("toy/1"))])
    report = bench.push()
    assert (report.added, report.left_out, report.unchanged) == (0, 1, 2)
    report = bench.pull()
    assert [(d.record_id, d.box_id, d.verdict) for d in report.decisions] == [
        ("toy/1", "", Verdict.BAD)
    ]
    assert report.decisions[0].reason == "the sample was deleted in the app"
    assert bench.pull().decisions == []
    assert (bench.push().left_out, len(bench.dataset)) == (1, 2)
    bench.restore = True
    assert bench.push().added == 1
    assert bench.document(1)["pair_review"] == "bad"
    assert bench.pull().decisions == []


def test_the_word_about_a_pair_is_a_decision(bench: Bench) -> None:
    bench.push()
    bench.stored.samples.update_one(
        {"_id": sample_object_id("toy/0")},
        {
            "$set": {
                "pair_review": "done",
                "pair_reviewer": "bob",
                "pair_reviewed_at": at(5),
            }
        },
    )
    bench.stored.samples.update_one(
        {"_id": sample_object_id("toy/1")}, {"$set": {"pair_review": "bad"}}
    )
    report = bench.pull()
    assert [(d.verdict, d.reviewer, d.decided_at) for d in report.decisions] == [
        (Verdict.DONE, "bob", at(5))
    ]
    assert "bad needs a reason" in report.conflicts[0].detail
    assert bench.document(0)["pair_decision_id"] == report.decisions[0].decision_id
    assert bench.pull().decisions == []


def test_words_by_the_apps_own_functions_reach_the_run(bench: Bench) -> None:
    bench.push()
    pair, box = sample_object_id("toy/0"), label_object_id("toy/0#0")
    alice, bob = (LabelStore(bench.stored.samples, reviewer=name) for name in ("alice", "bob"))
    judge_boxes(alice, pair, [box], Review.ACCEPTED)
    judge_boxes(bob, pair, [box], Review.ACCEPTED)  # a second opinion
    judge_pair(alice, pair, PairReview.DONE)
    judge_pair(bob, pair, PairReview.BAD, reason="blurred")
    with pytest.raises(WriteRefused, match="say why the image is bad"):
        judge_pair(bob, pair, PairReview.BAD)
    report = bench.pull()
    assert report.conflicts == []
    assert told(bench) == [
        ("alice", "toy/0#0", Verdict.KEEP),
        ("bob", "toy/0#0", Verdict.KEEP),
        ("alice", "", Verdict.DONE),
        ("bob", "", Verdict.BAD),
    ]
    assert load_decisions(bench.run)[-1].reason == "blurred"
    assert bench.pull().decisions == []


def test_a_dataset_that_is_nearly_empty_looks_like_an_accident(bench: Bench) -> None:
    bench.rows = [replace(bench.rows[0], record_id=f"toy/{n}") for n in range(MANY_DELETED + 2)]
    bench.rows = [
        replace(
            row,
            boxes=tuple(replace(b, box_id=f"{row.record_id}#{i}") for i, b in enumerate(row.boxes)),
        )
        for row in bench.rows
    ]
    bench.push()
    bench.stored.samples.delete_many({"record_id": {"$ne": "toy/0"}})
    report = bench.pull()
    assert (report.deletions_refused, report.decisions) == (True, [])
    report = pull(
        bench.stored,
        bench.rows,
        [],
        append=lambda rows: append_decisions(bench.run, rows),
        reviewer="ann",
        accept_deletions=True,
    )
    assert report.verdicts() == {"bad": MANY_DELETED + 1}


def test_push_tells_the_truth(bench: Bench) -> None:
    assert bench.push().added == 3
    report = bench.push()
    assert (report.added, report.refreshed, report.unchanged) == (0, 0, 3)
    write(bench, "toy/0#0", "alice", 1, review="accepted")
    bench.pull()
    report = bench.push(min_score=0.3)
    assert (report.refreshed, report.unchanged) == (3, 0)


def test_a_deletion_has_an_author(bench: Bench) -> None:
    bench.push()
    before = bench.label("toy/0#0")
    entries_of(bench).insert_one(
        {
            "_id": ObjectId(),
            "sample_id": sample_object_id("toy/0"),
            "reviewer": "bob",
            "at": at(1),
            "label_id": before["_id"],
            "before": before,
            "after": None,
        }
    )
    bench.stored.samples.update_one(
        {"_id": sample_object_id("toy/0")},
        {"$pull": {"boxes.detections": {"_id": before["_id"]}}},
    )
    bench.pull()
    assert told(bench) == [("bob", "toy/0#0", Verdict.DROP)]
