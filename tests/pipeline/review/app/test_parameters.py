"""What a caller gives an operator by hand is read, or refused with a sentence."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.review.app.parameters import object_id, object_ids, share, whole_number
from pipeline.review.sync.store.label_store import WriteRefused
from tests.pipeline.review.app.test_plugin import execute, reviews, selected
from tests.pipeline.review.bench import Bench

ID = "0123456789abcdef01234567"


def test_what_is_good_is_read() -> None:
    assert str(object_id(ID, "sample_id")) == ID
    assert [str(one) for one in object_ids({"label_ids": [ID]}, "label_ids")] == [ID]
    assert [whole_number({"n": value}, "n") for value in (3, "3", "-1")] == [3, 3, -1]
    assert [share({"s": value}, "s") for value in (0, "0.5", 1.0)] == [0, 0.5, 1]


@pytest.mark.parametrize("value", [None, "", "x", ID[1:], ID + "0", 7, b"x", [ID]])
def test_what_is_no_id(value: Any) -> None:
    with pytest.raises(WriteRefused, match=r"^sample_id must be 24 hexadecimal digits, got "):
        object_id(value, "sample_id")
    with pytest.raises(WriteRefused, match=r"^label_ids must be a list of ids, got |\[0\] must be"):
        object_ids({"label_ids": value if isinstance(value, str) else [value]}, "label_ids")


@pytest.mark.parametrize("value", [None, "", "x", 1.5, True, [1], float("nan"), float("inf")])
def test_what_is_no_number(value: Any) -> None:
    with pytest.raises(WriteRefused, match=r"^phrase must be a whole number, got "):
        whole_number({"phrase": value}, "phrase")
    if value != 1.5:
        with pytest.raises(WriteRefused, match=r"^score must be a number from 0 to 1, got "):
            share({"score": value}, "score")


def answered(bench: Bench, name: str, params: dict[str, Any]) -> str:
    from fiftyone.operators.executor import ExecutionError

    try:
        result = execute(bench, name, params=params, selected_labels=selected("toy/0#0")).result
    except ExecutionError as error:
        return str(error)
    return str(result["refused"])


@pytest.mark.slow
@pytest.mark.fiftyone
def test_operators_called_by_hand_with_anything(bench: Bench) -> None:
    bench.push()
    calls: list[tuple[str, dict[str, Any], str]] = [
        ("accept_labels", {"sample_id": "x", "label_ids": []}, "sample_id must be 24"),
        ("reject_labels", {"sample_id": ID, "label_ids": ["x"]}, "label_ids[0] must be 24"),
        ("accept_labels", {"label_ids": "x"}, "label_ids must be a list of ids"),
        ("relabel_phrase", {"sample_id": ID, "label_ids": [ID]}, "phrase must be a whole number"),
        ("judge_image", {"sample_id": ID, "word": "great"}, "word must be one of "),
        ("judge_image", {"sample_id": "x", "word": "done"}, "sample_id must be 24"),
        ("judge_image", {"sample_id": ID, "word": "done"}, ""),
        ("new_phrase", {"sample_id": "x", "words": "a"}, "sample_id must be 24"),
        ("split_phrase", {"sample_id": ID, "phrase": "one"}, "phrase must be a whole number"),
        ("merge_phrases", {"sample_id": ID, "source": "0"}, "target must be a whole number"),
        ("copy_box", {"sample_id": "x", "label_ids": [ID]}, "sample_id must be 24"),
        ("accept_above", {"score": "high"}, "score must be a number from 0 to 1"),
        ("undo_any", {}, "group must be 24"),
        ("sort_by_likeness", {"limit": "many"}, "limit must be a whole number"),
        ("export_view", {}, "name must be the name of the export"),
        ("read_sample", {"sample_id": "x"}, "sample_id must be 24"),
    ]
    for name, params, words in calls:
        told = answered(bench, name, params)
        # What a form restricts FiftyOne refuses itself, by the parameter's name.
        assert words in told or f"Path: {words.split()[0]}." in told, (name, params, told)
    assert set(reviews(bench)) == {"pending"}
