"""How far a review is, from the app's own records."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pipeline.curation.box_state import PairReview, Review
from pipeline.review.sync.dataset.assignment import save_assignment_views
from pipeline.review.sync.dataset.views import ensure_mine
from pipeline.review.sync.label.documents import label_object_id, sample_object_id
from pipeline.review.sync.label.notes import Notes
from pipeline.review.sync.label.stamp import timestamp
from pipeline.review.sync.store.label_store import LabelStore
from pipeline.review.sync.verdict.progress import hours_of, read_progress, time_words
from pipeline.review.sync.verdict.undo import undo_last
from pipeline.review.sync.verdict.verdicts import judge_boxes, judge_pair
from tests.pipeline.review.app.test_plugin import execute
from tests.pipeline.review.bench import Bench


@pytest.mark.slow
@pytest.mark.fiftyone
def test_boxes_and_pairs_are_counted_as_people_work(bench: Bench) -> None:
    bench.push(notes=Notes(keeps=lambda row: frozenset(box.box_id for box in row.boxes[:2])))
    store = LabelStore(bench.stored.samples, reviewer="ann")
    samples = [sample_object_id(f"toy/{number}") for number in range(2)]
    judge_boxes(store, samples[0], [label_object_id("toy/0#0")], Review.ACCEPTED)
    judge_boxes(store, samples[1], [label_object_id("toy/1#1")], Review.REJECTED)
    judge_pair(store, samples[0], PairReview.DONE)
    found = read_progress(store, bench.stored.dataset_id)
    assert (found.pairs, found.pairs_closed) == (3, 1)
    assert (found.boxes, found.boxes_judged, found.own_boxes) == (6, 2, 2)
    assert found.sentence().startswith("1 of 3 pairs done, 2 of 6 boxes judged; ")
    undo_last(store, bench.stored.dataset_id)
    undo_last(store, bench.stored.dataset_id)
    found = read_progress(store, bench.stored.dataset_id)
    assert (found.pairs_closed, found.boxes_judged, found.own_boxes) == (0, 1, 1)
    others = read_progress(
        LabelStore(bench.stored.samples, reviewer="bob"), bench.stored.dataset_id
    )
    assert (others.own_boxes, others.boxes_an_hour, others.boxes_judged) == (0, None, 1)
    assert execute(bench, "read_progress").result["boxes"] == 6
    state = {"panel_id": "p", "__method__": "on_load", "panel_state": {}}
    shown = str(execute(bench, "progress_panel", params=state).executor.to_json()["requests"])
    assert "0 of 3 pairs done, 1 of 6 boxes judged" in shown
    assert "Accept all above a score" in shown


def test_breaks_are_no_work() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    moments = [timestamp(start + timedelta(seconds=s)) for s in (0, 60, 60, 4000, 4030)]
    assert hours_of(moments) == pytest.approx(90 / 3600)
    assert hours_of([]) == 0.0


@pytest.mark.parametrize(("hours", "words"), [(0.25, "15 min"), (1.0, "60 min"), (2.5, "2.5 h")])
def test_hours_in_words(hours: float, words: str) -> None:
    assert time_words(hours) == words


@pytest.mark.slow
@pytest.mark.fiftyone
def test_a_reviewer_has_a_view_of_their_own_work(bench: Bench) -> None:
    bench.push()
    store = LabelStore(bench.stored.samples)
    judge_boxes(store, sample_object_id("toy/1"), [label_object_id("toy/1#0")], Review.ACCEPTED)
    begun = execute(bench, "begin").result
    assert begun == {"made": True, "view": f"mine {store.reviewer}", "hides": False}
    view = bench.dataset.load_saved_view(begun["view"])
    assert view.values("record_id") == ["toy/1"]
    assert execute(bench, "begin").result["made"] is False


@pytest.mark.slow
@pytest.mark.fiftyone
def test_reviewers_whose_names_are_one_to_fiftyone_have_views_of_their_own(bench: Bench) -> None:
    names = ("犬", "猫", "Ann", "ann", "a.b", "$x", "<b>", "x" * 80)
    made = [ensure_mine(bench.dataset, name) for name in names]
    assert [new for _, new in made] == [True] * len(names)
    assert [ensure_mine(bench.dataset, name) for name in names] == [(v, False) for v, _ in made]
    assert len({view for view, _ in made}) == len(names)
    assert made[0][0] == "mine 犬"
    save_assignment_views(bench.dataset, names)
    assigned = [view for view in bench.dataset.list_saved_views() if view.startswith("for ")]
    assert len(assigned) == len(names)
