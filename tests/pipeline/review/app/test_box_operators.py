"""Operators on whole boxes and views, called from Python without the app."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from pipeline.review.home import ENV_HOME, fiftyone_environment
from pipeline.review.sync.label.documents import sample_object_id
from pipeline.review.sync.store.label_store import LabelStore, WriteRefused
from pipeline.review.sync.verdict.clicks import clicks
from pipeline.review.sync.verdict.undo import undo_click
from tests.pipeline.review.app.test_plugin import execute, reviews, selected
from tests.pipeline.review.bench import Bench

pytestmark = [pytest.mark.slow, pytest.mark.fiftyone]


def opened(number: int = 0) -> str:
    return str(sample_object_id(f"toy/{number}"))


def test_a_box_is_copied_to_another_phrase_and_pulled_as_an_added_one(bench: Bench) -> None:
    bench.push()
    before = bench.document()["boxes"]["detections"]
    result = execute(
        bench, "copy_box", selected_labels=selected("toy/0#0"), params={"phrase": "1"}
    ).result
    assert result == {"changed": 1}
    *kept, copy = bench.document()["boxes"]["detections"]
    assert kept == before
    assert copy["bounding_box"] == before[0]["bounding_box"]
    assert (copy["label"], copy["phrase_index"]) == ("a café", 1)
    assert (copy["review"], copy["origin"]) == ("accepted", "human")
    assert bench.pull().verdicts() == {"add": 1}
    again = execute(
        bench, "copy_box", selected_labels=selected("toy/0#0"), params={"phrase": "0"}
    ).result
    assert "one of 'a dog' already" in again["refused"]


def test_phrases_are_merged_without_the_boxes_that_were_rejected(bench: Bench) -> None:
    bench.push()
    bench.set("toy/0#1", "review", "rejected")
    params = {"sample_id": opened(), "source": "0", "target": "1"}
    assert execute(bench, "merge_phrases", params=params).result["changed"] == 1
    assert [label["phrase_index"] for label in bench.document()["boxes"]["detections"]] == [1, 0, 1]
    again = execute(bench, "merge_phrases", params=params).result
    assert again["refused"] == "'a dog' has no box to give to another phrase"
    same = execute(bench, "merge_phrases", params={**params, "target": "0"}).result
    assert "cannot be merged with itself" in same["refused"]


def test_all_above_a_score_in_the_view_are_accepted_and_one_undo_takes_them_back(
    bench: Bench,
) -> None:
    bench.push()
    view = bench.dataset.select([opened(0), opened(1)])
    bench.set("toy/1#0", "review", "rejected")
    result = execute(bench, "accept_above", view=view, params={"score": 0.25}).result
    assert (result["changed"], result["images"], result["refused"]) == (3, 2, [])
    assert reviews(bench, 0) == ["accepted", "accepted", "pending"]
    assert reviews(bench, 1) == ["rejected", "accepted", "pending"]
    assert reviews(bench, 2) == ["pending"] * 3
    assert execute(bench, "undo_last").result["changed"] == 3
    assert reviews(bench, 0) == ["pending"] * 3


def test_what_the_view_hides_is_not_accepted(bench: Bench) -> None:
    from fiftyone import ViewField as F

    bench.push()
    view = bench.dataset.filter_labels("boxes", F("confidence") < 0.4)
    assert execute(bench, "accept_above", view=view, params={"score": 0.0}).result["changed"] == 6
    assert reviews(bench) == ["pending", "accepted", "accepted"]


def test_any_change_is_taken_back_from_the_log_and_only_once(bench: Bench) -> None:
    bench.push()
    execute(bench, "accept_labels", selected_labels=selected("toy/0#0", "toy/1#0"))
    execute(bench, "reject_labels", selected_labels=selected("toy/0#1"))
    store = LabelStore(bench.stored.samples)
    reject, accept = clicks(store, bench.stored.dataset_id)
    assert (accept.action, accept.labels, accept.samples) == ("accept", 2, 2)
    assert (reject.action, reject.labels, reject.is_undone) == ("reject", 1, False)
    params = {"group": str(accept.group)}
    assert execute(bench, "undo_any", params=params).result["changed"] == 2
    assert reviews(bench) == ["pending", "rejected", "pending"]
    with pytest.raises(WriteRefused, match="that change was taken back already"):
        undo_click(store, bench.stored.dataset_id, accept.group)
    assert [one.is_undone for one in clicks(store, bench.stored.dataset_id)] == [False, True]
    others = LabelStore(bench.stored.samples, reviewer="bob")
    with pytest.raises(WriteRefused, match="is not a change of bob's"):
        undo_click(others, bench.stored.dataset_id, reject.group)
    assert clicks(others, bench.stored.dataset_id) == []


def test_the_curated_view_is_exported_beside_the_run(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.push()
    dataset = bench.dataset
    dataset.info = {"run": bench.run.uri}
    dataset.save()
    home = bench.session.home
    for name, value in fiftyone_environment(home, bench.session.database.uri).items():
        monkeypatch.setitem(os.environ, name, value)
    monkeypatch.setenv(ENV_HOME, str(home.root))
    execute(bench, "accept_labels", selected_labels=selected("toy/0#0", "toy/0#2", "toy/1#0"))
    view = bench.dataset.select([opened(0)])
    result = execute(bench, "export_view", view=view, params={"name": "../My view!"}).result
    assert result["pairs"] == 1
    written = Path(result["path"])
    assert written == Path(bench.run.uri) / "exports" / "my-view.json"
    content = json.loads(written.read_text())
    assert len(content["images"]) == 1
    assert len(content["annotations"]) == 2
    empty = execute(bench, "export_view", view=view, params={"name": "/"}).result
    assert "needs a name" in empty["refused"]
