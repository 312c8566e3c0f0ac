"""New, split and joined phrases: from the app through pull, push and curation, and back."""

from __future__ import annotations

from typing import Any

import pytest
from bson import ObjectId

from pipeline.curation.curate import curate_run, iter_curated
from pipeline.curation.rules.presets import get_policy
from pipeline.review.sync.label.documents import label_object_id, sample_object_id
from pipeline.review.sync.store.label_store import LabelStore, WriteRefused
from pipeline.review.sync.verdict.phrases import join_phrases, new_phrase, split_phrase
from pipeline.review.sync.verdict.undo import undo_last
from tests.pipeline.review.app.test_plugin import execute, selected
from tests.pipeline.review.bench import Bench

pytestmark = [pytest.mark.slow, pytest.mark.fiftyone]

SAMPLE = sample_object_id("toy/0")


def store(bench: Bench) -> LabelStore:
    return LabelStore(bench.stored.samples, reviewer="ann")


def box(number: int) -> ObjectId:
    return label_object_id(f"toy/0#{number}")


def texts(bench: Bench) -> list[str]:
    return [phrase["text"] for phrase in bench.document()["phrases"]]


def labels(bench: Bench) -> list[tuple[Any, Any, Any]]:
    return [
        (entry["label"], entry["phrase_index"], entry["review"])
        for entry in bench.document()["boxes"]["detections"]
    ]


def test_marked_words_become_a_phrase_that_survives_push_pull_and_curation(bench: Bench) -> None:
    bench.push()
    caption = bench.rows[0].caption
    start = caption.index("dog")
    new_phrase(store(bench), SAMPLE, (start - 1, start + 4), label_ids=[box(1)])
    assert texts(bench) == ["a dog", "a café", "dog"]
    assert labels(bench)[1] == ("dog", 2, "fixed")
    bench.push()  # before any pull
    assert texts(bench) == ["a dog", "a café", "dog"]
    report = bench.pull()
    assert (report.verdicts(), report.conflicts) == ({"phrase": 1, "edit": 1}, [])
    assert set(report.reviewers()) == {"ann"}
    again = bench.pull()
    assert (again.decisions, again.conflicts) == ([], [])
    bench.push()
    assert labels(bench)[1] == ("dog", 2, "fixed")
    policy = get_policy("default")
    stats = curate_run(bench.run, policy)
    record = next(r for r in iter_curated(bench.run, stats.policy_id) if r.record_id == "toy/0")
    assert [phrase.text for phrase in record.phrases] == ["a dog", "a café", "dog"]
    assert record.caption[record.phrases[2].start : record.phrases[2].end] == "dog"
    assert any(one.phrase_indices == (2,) for one in record.boxes)


def test_a_dataset_that_is_made_again_has_them(bench: Bench) -> None:
    bench.push()
    new_phrase(store(bench), SAMPLE, (2, 5), label_ids=[box(0)])
    bench.pull()
    bench.drop()
    bench.make()
    bench.push()
    assert texts(bench)[2:] == ["dog"]
    assert labels(bench)[0] == ("dog", 2, "fixed")
    assert bench.pull().decisions == []


def test_a_phrase_is_split_and_its_boxes_go_where_they_were_sent(bench: Bench) -> None:
    bench.push()
    split_phrase(store(bench), SAMPLE, 0, 1, second_ids=[box(1)])
    assert texts(bench) == ["a dog", "a café", "a", "dog"]
    assert labels(bench)[:2] == [("a", 2, "fixed"), ("dog", 3, "fixed")]
    assert bench.pull().verdicts() == {"phrase": 2, "edit": 2}


def test_two_phrases_are_joined(bench: Bench) -> None:
    bench.push()
    join_phrases(store(bench), SAMPLE, 1, 0)
    caption = bench.rows[0].caption
    whole = caption[: caption.index("café") + 4]
    assert texts(bench)[2] == whole
    assert {entry[:2] for entry in labels(bench)} == {(whole, 2)}


def test_undo_takes_phrase_and_boxes_back(bench: Bench) -> None:
    bench.push()
    before = bench.document()
    new_phrase(store(bench), SAMPLE, (2, 5), label_ids=[box(0)])
    undo_last(store(bench), bench.stored.dataset_id)
    assert texts(bench) == ["a dog", "a café"]
    assert labels(bench) == [
        (entry["label"], entry["phrase_index"], entry["review"])
        for entry in before["boxes"]["detections"]
    ]
    assert bench.pull().conflicts == []


@pytest.mark.parametrize(
    ("span", "words"),
    [((0, 5), "'a dog' is a phrase already"), ((1, 2), "blank"), ((0, 999), "span must be in")],
)
def test_what_cannot_be_a_phrase_is_said(bench: Bench, span: tuple[int, int], words: str) -> None:
    bench.push()
    with pytest.raises(WriteRefused, match=words):
        new_phrase(store(bench), SAMPLE, span)
    assert texts(bench) == ["a dog", "a café"]


def test_the_operators_do_the_same(bench: Bench) -> None:
    bench.push()
    sample = {"sample_id": str(SAMPLE)}
    params = sample | {"start": 2, "end": 5, "label_ids": [str(box(1))]}
    assert execute(bench, "new_phrase", params=params).result["changed"] == 1
    assert texts(bench)[2:] == ["dog"]
    again = execute(bench, "new_phrase", params=sample | {"words": "dog"}).result
    assert "is a phrase already" in again["refused"]
    nothing = execute(bench, "new_phrase", params=sample).result
    assert "write the words of the new phrase" in nothing["refused"]
    open_image = {"current_sample": str(SAMPLE)}  # then the form is asked
    params = {"start": 0, "end": 1, "label_ids": []}
    assert "refused" not in execute(bench, "new_phrase", params=params, **open_image).result
    unknown = execute(bench, "new_phrase", params=sample | {"words": "zebra"}).result
    assert "'zebra' does not stand in the caption" in unknown["refused"]
    params = sample | {"phrase": "1", "at": 2, "second": "café"}
    result = execute(bench, "split_phrase", params=params).result
    assert result["changed"] == 1
    assert texts(bench)[4:] == ["a", "café"]
    params = sample | {"source": "4", "target": "5", "whole": True}
    assert "is a phrase already" in execute(bench, "merge_phrases", params=params).result["refused"]
    chosen = selected("toy/0#0")
    execute(bench, "relabel_phrase", selected_labels=chosen, params={"phrase": "5"})
    assert labels(bench)[0] == ("café", 5, "fixed")


def test_words_that_stand_twice_need_their_place(bench: Bench) -> None:
    bench.push()
    caption = str(bench.document()["caption"])
    assert caption == "a dog and a café"  # the "a" of "and" is not meant
    params = {"sample_id": str(SAMPLE), "words": "a", "label_ids": []}
    told = execute(bench, "new_phrase", params=params).result["refused"]
    assert "stands 2 times in the caption: say which by occurrence, 1 to 2" in told
    told = execute(bench, "new_phrase", params={**params, "occurrence": 99}).result["refused"]
    assert told.startswith("occurrence must be from 1 to 2")
    assert execute(bench, "new_phrase", params={**params, "occurrence": 2}).result["changed"] == 0
    assert bench.document()["phrases"][-1]["start"] == 10
