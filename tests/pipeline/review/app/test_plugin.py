"""The operators and the panel, executed without a browser."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.review.sync.documents import label_object_id, sample_object_id
from tests.pipeline.review.bench import Bench

pytestmark = [pytest.mark.slow, pytest.mark.fiftyone]


def execute(bench: Bench, name: str, **request: Any) -> Any:
    import fiftyone.operators as foo

    return foo.execute_operator(
        f"@glipforge/review/{name}", {"dataset": bench.dataset, "params": {}} | request
    )


def selected(*box_ids: str) -> list[dict[str, str]]:
    return [
        {
            "sample_id": str(sample_object_id(box_id.split("#")[0])),
            "label_id": str(label_object_id(box_id)),
            "field": "boxes",
        }
        for box_id in box_ids
    ]


def reviews(bench: Bench, number: int = 0) -> list[str]:
    return [label["review"] for label in bench.document(number)["boxes"]["detections"]]


def test_selected_boxes_are_judged(bench: Bench) -> None:
    bench.push()
    result = execute(bench, "accept_labels", selected_labels=selected("toy/0#0", "toy/1#2"))
    assert result.result == {"changed": 2}
    assert reviews(bench, 0) == ["accepted", "pending", "pending"]
    assert reviews(bench, 1) == ["pending", "pending", "accepted"]
    execute(bench, "reject_labels", selected_labels=selected("toy/0#0"))
    assert bench.pull().verdicts() == {"drop": 1, "keep": 1}


def test_without_a_selection_every_pending_box_of_the_open_sample(bench: Bench) -> None:
    bench.push()
    bench.set("toy/0#1", "review", "rejected")
    sample_id = str(sample_object_id("toy/0"))
    assert execute(bench, "accept_labels", current_sample=sample_id).result == {"changed": 2}
    assert reviews(bench) == ["accepted", "rejected", "accepted"]
    assert reviews(bench, 1) == ["pending"] * 3


def test_with_nothing_selected_nothing_happens_but_a_notice(bench: Bench) -> None:
    bench.push()
    result = execute(bench, "reject_labels")
    assert result.result == {"changed": 0}
    requests = result.executor.to_json()["requests"]
    assert [entry["params"]["variant"] for entry in requests] == ["warning"]


def test_labels_of_other_fields_are_left_alone(bench: Bench) -> None:
    bench.push()
    other = [selected("toy/0#0")[0] | {"field": "predictions"}]
    assert execute(bench, "accept_labels", selected_labels=other).result == {"changed": 0}


def test_a_box_is_given_to_another_phrase(bench: Bench) -> None:
    bench.push()
    result = execute(
        bench, "relabel_phrase", selected_labels=selected("toy/0#0"), params={"phrase": "1"}
    )
    assert result.result == {"changed": 1}
    label = bench.label("toy/0#0")
    assert (label["label"], label["phrase_index"], label["review"]) == ("a café", 1, "fixed")
    report = bench.pull()
    assert (report.verdicts(), report.conflicts) == ({"edit": 1}, [])


@pytest.mark.parametrize("phrase", ["2", "-1", "x", None])
def test_only_phrases_of_the_caption_can_be_chosen(bench: Bench, phrase: str | None) -> None:
    from fiftyone.operators.executor import ExecutionError

    bench.push()
    params = {} if phrase is None else {"phrase": phrase}
    with pytest.raises(ExecutionError, match="phrase"):
        execute(bench, "relabel_phrase", selected_labels=selected("toy/0#0"), params=params)
    assert bench.label("toy/0#0")["phrase_index"] == 0


def test_boxes_of_two_samples_cannot_share_a_phrase(bench: Bench) -> None:
    bench.push()
    both = selected("toy/0#0", "toy/1#0")
    assert execute(bench, "relabel_phrase", selected_labels=both).result == {"changed": 0}


def test_the_panel_shows_the_caption_in_colours(bench: Bench) -> None:
    bench.push()
    state = {"panel_id": "p", "__method__": "on_load", "panel_state": {}}
    result = execute(
        bench, "caption_panel", params=state, current_sample=str(sample_object_id("toy/0"))
    )
    text = str(result.executor.to_json()["requests"])
    assert "<b>a dog</b></span> and <span" in text
    assert "1: a café" in text


def test_the_panel_without_a_sample_says_so(bench: Bench) -> None:
    bench.push()
    state = {"panel_id": "p", "__method__": "on_load", "panel_state": {}}
    text = str(execute(bench, "caption_panel", params=state).executor.to_json()["requests"])
    assert "Open a sample" in text
