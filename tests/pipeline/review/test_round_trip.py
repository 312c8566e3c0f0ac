"""Push, edit as people would, pull, rebuild: with a real MongoDB and FiftyOne."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.curation.box_state import box_histories
from pipeline.curation.decisions import append_decisions, load_decisions
from pipeline.review.sync.dataset.dataset import LAYOUT, lay_out
from pipeline.review.sync.dataset.views import review_views
from pipeline.review.sync.label.app_label import ConflictKind
from pipeline.review.sync.label.documents import label_object_id, sample_document, sample_object_id
from pipeline.review.sync.label.notes import (
    RAREST_PHRASE,
    Notes,
    Suspicion,
    box_notes,
    pair_notes,
)
from pipeline.review.sync.label.stamp import PAIR_FIELDS
from pipeline.review.sync.pull.pull import pull, unpulled
from pipeline.review.sync.store.mongo_store import Document
from schemas.records import MADE_CAPTION, Verdict
from tests.pipeline.review.bench import Bench
from tests.pipeline.review.builders import NOW, drawn_label

pytestmark = [pytest.mark.slow, pytest.mark.fiftyone]


def shape(value: Any) -> Any:
    """Keys and types, all the way down."""
    if isinstance(value, dict):
        return {key: shape(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value)


def test_our_documents_are_those_that_fiftyone_makes_itself(bench: Bench) -> None:
    fo = bench.session.fo
    row = replace(bench.rows[0], caption_origin=MADE_CAPTION)
    shown = [history.current() for history in box_histories(row, []).values()]
    notes = Notes(suspects={shown[0].box_id: Suspicion(score=0.5, reasons=("too large",))})
    of_boxes = {box.box_id: box_notes(box, notes, None, 0.5) for box in shown}
    of_pair = pair_notes(row, shown, notes, (), of_boxes)
    ours = sample_document(
        row,
        shown,
        notes=of_boxes,
        pair_notes={**of_pair, RAREST_PHRASE: 1},
        filepath=row.image_uri,
        dataset_id=bench.stored.dataset_id,
        now=NOW,
    )
    phrases = [
        fo.DynamicEmbeddedDocument(**{k: v for k, v in phrase.items() if k != "_cls"})
        for phrase in ours["phrases"]
    ]
    plain = ("_id", "_cls", "attributes", "tags")
    boxes = [
        fo.Detection(**{k: v for k, v in label.items() if k not in plain})
        for label in ours["boxes"]["detections"]
    ]
    text = ("record_id", "image_id", "source", "caption", "caption_origin", "status")
    text += ("teacher_id", *PAIR_FIELDS)
    sample = fo.Sample(
        filepath=row.image_uri,
        metadata=fo.ImageMetadata(width=row.width, height=row.height),
        phrases=phrases,
        boxes=fo.Detections(detections=boxes),
        pushed_box_ids=ours["pushed_box_ids"],
        conflicts=[],
        **{name: ours[name] for name in (*text, *of_pair, RAREST_PHRASE)},
    )
    bench.dataset.add_samples([sample], dynamic=False)
    theirs = bench.stored.samples.find_one({})
    assert shape(ours) == shape(theirs)
    assert bench.dataset.match({"caption_origin": "made"}).values("record_id") == [row.record_id]
    free = ("_id", "_rand", "created_at", "last_modified_at", "boxes")
    assert {k: v for k, v in ours.items() if k not in free} == {
        k: v for k, v in theirs.items() if k not in free
    }


def test_a_pushed_dataset_is_whole_for_fiftyone(bench: Bench) -> None:
    report = bench.push()
    assert (report.added, report.boxes, report.failures) == (3, 9, [])
    dataset = bench.dataset
    assert len(dataset) == 3
    assert dataset.media_type == "image"
    assert dataset.count_values("caption_origin") == {"corpus": 3}
    assert dataset.count("boxes.detections") == 9
    assert dataset.count_values("boxes.detections.label") == {"a dog": 6, "a café": 3}
    sample = dataset.first()
    assert sample["phrases"][1].text == "a café"
    assert sample["boxes"].detections[0]["box_id"] == "toy/0#0"
    assert dataset.active_label_schemas == ["boxes"]
    assert len(dataset.clone()) == 3
    assert set(dataset.list_saved_views()) == set(review_views(dataset))
    sizes = {name: len(dataset.load_saved_view(name)) for name in dataset.list_saved_views()}
    assert sizes["pending"] == 3
    assert sizes["low scores"] == 3
    assert sizes["whole-image boxes"] == 3
    assert sizes["several boxes per phrase"] == 3
    assert sizes["captions by image"] == 2
    none = ("captions without boxes", "rejected", "drawn", "conflicts", "tiny boxes", "queue")
    none += ("audit", "disagreement")
    assert {name: sizes[name] for name in none} == dict.fromkeys(none, 0)
    assert {name: sizes[name] for name in ("rare phrases", "overlapping phrases")} == {
        "rare phrases": 0,
        "overlapping phrases": 0,
    }


def test_edit_pull_rebuild(bench: Bench) -> None:
    bench.push()
    bench.set("toy/0#0", "review", "accepted")
    bench.set("toy/0#1", "review", "rejected")
    bench.set("toy/0#2", "bounding_box", [0.1, 0.1, 0.3, 0.3])
    bench.set("toy/1#0", "label", "A Café")
    bench.dataset.delete_labels(ids=[str(label_object_id("toy/1#1"))])
    bench.dataset.select(str(sample_object_id("toy/2"))).tag_labels("reject")
    _draw(bench, 1, drawn_label(bounding_box=[1 / 3, 1 / 7, 1 / 9, 1 / 11]))
    assert unpulled(bench.stored, bench.rows, []) == 9

    report = bench.pull()
    assert report.conflicts == []
    assert report.verdicts() == {"keep": 1, "drop": 5, "edit": 2, "add": 1}
    assert report.undecided == 1
    assert {d.reviewer for d in report.decisions} == {"ann"}
    assert len(load_decisions(bench.run)) == 9

    again = bench.pull()
    assert (again.decisions, again.conflicts, again.changed_samples) == ([], [], 0)
    assert bench.label("toy/1#0")["phrase_index"] == 1  # marked as taken
    assert bench.label("toy/1#0")["review"] == "fixed"

    edited = [bench.document(number) for number in range(3)]
    bench.drop()
    bench.make()
    bench.push()
    rebuilt = [bench.document(number) for number in range(3)]
    assert bench.pull().decisions == []
    for before, after in zip(edited, rebuilt, strict=True):
        assert before["_id"] == after["_id"]
        labels = {label["_id"]: label for label in after["boxes"]["detections"]}
        for label in before["boxes"]["detections"]:
            other = labels.pop(label["_id"])
            assert label["bounding_box"] == pytest.approx(other["bounding_box"], abs=1e-7)
            same = ("label", "phrase_index", "review", "origin", "box_id", "decision_id")
            assert {k: label[k] for k in same} == {k: other[k] for k in same}
        # What people deleted comes back as rejected.
        assert [label["review"] for label in labels.values()] in ([], ["rejected"])


def _draw(bench: Bench, number: int, label: Document) -> None:
    bench.stored.samples.update_one(
        {"_id": sample_object_id(f"toy/{number}")}, {"$push": {"boxes.detections": label}}
    )


def test_a_second_push_leaves_unpulled_work_alone(bench: Bench) -> None:
    bench.push()
    bench.set("toy/0#1", "review", "accepted")
    _draw(bench, 0, drawn_label())
    report = bench.push(min_score=0.4)
    assert (report.refreshed, report.added, report.removed) == (3, 0, 0)
    assert report.kept_labels == 2
    shown = [label.get("box_id") for label in bench.document(0)["boxes"]["detections"]]
    assert shown == ["toy/0#0", "toy/0#1", None]
    assert bench.label("toy/0#1")["review"] == "accepted"
    # Boxes that a narrower push took out are not deletions.
    assert bench.pull().verdicts() == {"keep": 1, "add": 1}
    again = bench.push()
    assert (again.boxes, again.shown) == (10, 9)  # one is a person's


def test_samples_that_the_selection_leaves_out_go_unless_worked_on(bench: Bench) -> None:
    from pipeline.curation.rules.policy import FilterPolicy

    bench.push()
    bench.set("toy/1#0", "review", "accepted")
    report = bench.push(policy=FilterPolicy(name="none", score_threshold=0.99))
    assert (report.removed, len(bench.dataset)) == (2, 1)
    bench.pull()
    report = bench.push(policy=FilterPolicy(name="none", score_threshold=0.99))
    assert bench.document(1)["boxes"]["detections"][0]["review"] == "accepted"


def test_conflicts_are_flagged_in_the_app_and_go_when_corrected(bench: Bench) -> None:
    bench.push()
    bench.set("toy/0#0", "label", "a cat")
    report = bench.pull()
    assert report.decisions == []
    assert [c.kind for c in report.conflicts] == [ConflictKind.NO_SUCH_PHRASE]
    flagged = bench.dataset.load_saved_view("conflicts")
    assert flagged.values("record_id") == ["toy/0"]
    assert flagged.first()["conflicts"] == [
        "no_such_phrase: the label 'a cat' is not a phrase of this caption; its phrases: "
        "'a dog', 'a café'"
    ]
    bench.set("toy/0#0", "label", "a café")
    assert bench.pull().verdicts() == {"edit": 1}
    assert len(bench.dataset.load_saved_view("conflicts")) == 0


def test_samples_that_are_not_of_the_run_are_reported(bench: Bench) -> None:
    bench.push()
    path = bench.rows[0].image_uri
    bench.dataset.add_sample(bench.session.fo.Sample(filepath=path))
    conflict = bench.pull().conflicts[0]
    assert conflict.kind == ConflictKind.UNKNOWN_SAMPLE
    assert path in conflict.detail


def test_a_label_edited_between_reading_and_marking_is_not_overwritten(bench: Bench) -> None:
    bench.push()
    bench.set("toy/0#0", "review", "accepted")

    def append(rows: Any) -> None:
        append_decisions(bench.run, rows)
        bench.set("toy/0#0", "review", "rejected")

    pull(bench.stored, bench.rows, [], append=append, reviewer="ann")
    assert bench.label("toy/0#0")["review"] == "rejected"
    later = bench.pull()
    assert [d.verdict for d in later.decisions] == [Verdict.DROP]
    histories = box_histories(bench.rows[0], load_decisions(bench.run))
    assert histories["toy/0#0"].current().review == "rejected"


def test_a_clock_that_runs_behind_does_not_lose_the_later_word(bench: Bench) -> None:
    bench.push()
    bench.set("toy/0#0", "review", "accepted")
    bench.pull()
    bench.set("toy/0#0", "review", "rejected")
    report = pull(
        bench.stored,
        bench.rows,
        load_decisions(bench.run),
        append=lambda rows: append_decisions(bench.run, rows),
        reviewer="ann",
        now=NOW,
    )
    assert [d.verdict for d in report.decisions] == [Verdict.DROP]
    latest = box_histories(bench.rows[0], load_decisions(bench.run))["toy/0#0"].latest
    assert latest is not None
    assert latest.verdict == Verdict.DROP
    assert bench.pull().decisions == []


def test_an_image_that_is_gone_is_a_failure_of_its_pair_alone(bench: Bench) -> None:
    Path(bench.rows[0].image_uri).unlink()
    report = bench.push()
    assert report.added == 2
    assert [record_id for record_id, _ in report.failures] == ["toy/0"]


def test_a_dataset_of_an_earlier_version_gets_fields_and_views_and_keeps_its_samples(
    bench: Bench,
) -> None:
    bench.push()
    before = bench.document()
    dataset = bench.dataset
    for name in ("queue", "unstable scores"):
        dataset.delete_saved_view(name)
    dataset._doc.info.pop("layout")
    dataset.save()
    lay_out(bench.dataset)
    assert set(bench.dataset.list_saved_views()) == set(review_views(bench.dataset))
    assert bench.dataset.info == {"run": "x", "layout": LAYOUT}
    assert bench.document() == before
