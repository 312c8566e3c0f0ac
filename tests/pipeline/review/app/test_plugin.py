"""The operators and the panel, executed without a browser."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from pipeline.review.sync.label.documents import label_object_id, sample_object_id
from tests.pipeline.review.bench import Bench

pytestmark = [pytest.mark.slow, pytest.mark.fiftyone]


def execute(bench: Bench, name: str, **request: Any) -> Any:
    import fiftyone.operators as foo

    uri = f"@glipforge/review/{name}"
    with ThreadPoolExecutor(1) as pool:  # Playwright's event loop may run in this thread
        return pool.submit(
            foo.execute_operator, uri, {"dataset": bench.dataset, "params": {}} | request
        ).result()


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


def test_a_selection_on_another_image_than_the_open_one_is_not_judged(bench: Bench) -> None:
    bench.push()
    result = execute(
        bench,
        "accept_labels",
        selected_labels=selected("toy/0#0", "toy/1#2"),
        current_sample=str(sample_object_id("toy/1")),
    )
    assert result.result == {"changed": 1}
    assert reviews(bench, 0) == ["pending"] * 3
    assert reviews(bench, 1) == ["pending", "pending", "accepted"]


def test_what_the_view_hides_is_not_judged(bench: Bench) -> None:
    from fiftyone import ViewField as F

    bench.push()
    view = bench.dataset.filter_labels("boxes", F("confidence") < 0.3)
    sample_id = str(sample_object_id("toy/0"))
    execute(bench, "accept_labels", view=view, current_sample=sample_id)
    assert reviews(bench) == ["pending", "accepted", "accepted"]


def page(bench: Bench, *box_ids: str, **changes: Any) -> dict[str, Any]:
    """What the page sends of the boxes that its reviewer meant."""
    labels = [bench.label(box_id) for box_id in box_ids]
    return {
        "sample_id": str(sample_object_id("toy/0")),
        "label_ids": [str(label["_id"]) for label in labels],
        "seen": {str(label["_id"]): {"review": label["review"]} for label in labels},
    } | changes


def test_the_page_names_the_boxes_and_gets_what_is_stored(bench: Bench) -> None:
    bench.push()
    params = page(bench, "toy/0#1")
    everything = selected("toy/0#0", "toy/0#1", "toy/0#2")
    result = execute(bench, "reject_labels", params=params, selected_labels=everything).result
    assert reviews(bench) == ["pending", "rejected", "pending"]
    label = bench.label("toy/0#1")
    assert result["labels"][str(label["_id"])]["review"] == "rejected"
    assert (result["changed"], bool(label["reviewer"]), bool(label["reviewed_at"])) == (
        1,
        True,
        True,
    )


def test_a_verdict_on_what_somebody_changed_meanwhile_is_refused(bench: Bench) -> None:
    bench.push()
    params = page(bench, "toy/0#0", "toy/0#1")
    bench.set("toy/0#1", "review", "rejected")
    result = execute(bench, "accept_labels", params=params).result
    assert result["changed"] == 0
    assert "review is 'rejected', you saw 'pending'" in result["refused"]
    assert reviews(bench) == ["pending", "rejected", "pending"]
    assert result["labels"][params["label_ids"][1]]["review"] == "rejected"


def test_a_box_that_is_gone_is_said(bench: Bench) -> None:
    bench.push()
    params = page(bench, "toy/0#0", "toy/0#1")
    bench.dataset.delete_labels(ids=[params["label_ids"][0]])
    result = execute(bench, "reject_labels", params=params).result
    assert "1 of 2 boxes are no longer on this image" in result["refused"]
    assert reviews(bench) == ["pending", "pending"]


def test_undo_takes_back_click_by_click(bench: Bench) -> None:
    bench.push()
    before = reviews(bench)
    execute(bench, "accept_labels", selected_labels=selected("toy/0#0", "toy/0#1"))
    execute(bench, "relabel_phrase", selected_labels=selected("toy/0#2"), params={"phrase": "0"})
    result = execute(bench, "undo_last").result
    assert (result["action"], result["changed"]) == ("relabel", 1)
    assert bench.label("toy/0#2")["label"] == "a café"
    assert reviews(bench) == ["accepted", "accepted", "pending"]
    assert execute(bench, "undo_last").result["action"] == "accept"
    assert reviews(bench) == before
    assert "nothing of yours" in execute(bench, "undo_last").result["refused"]


def test_undo_leaves_what_somebody_changed_since(bench: Bench) -> None:
    bench.push()
    execute(bench, "accept_labels", selected_labels=selected("toy/0#0"))
    bench.set("toy/0#0", "review", "rejected")
    refusal = execute(bench, "undo_last").result["refused"]
    assert "changed the same box since" in refusal
    assert reviews(bench)[0] == "rejected"


def test_an_image_is_done_or_bad_with_a_reason(bench: Bench) -> None:
    bench.push()
    sample_id = str(sample_object_id("toy/0"))
    params = {"sample_id": sample_id, "word": "bad"}
    result = execute(bench, "judge_image", params=params).result
    assert result["refused"] == "say why the image is bad"
    execute(bench, "judge_image", params={**params, "reason": "blurred"})
    document = bench.document(0)
    assert (document["pair_review"], document["pair_reason"]) == ("bad", "blurred")
    assert execute(bench, "undo_last").result["action"] == "bad"
    assert bench.document(0)["pair_review"] in (None, "open")


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
    result = execute(bench, "relabel_phrase", selected_labels=both, params={"phrase": "1"})
    assert result.result["changed"] == 0


def test_the_panel_shows_the_caption_in_colours(bench: Bench) -> None:
    bench.push()
    state = {"panel_id": "p", "__method__": "on_load", "panel_state": {}}
    result = execute(
        bench, "caption_panel", params=state, current_sample=str(sample_object_id("toy/0"))
    )
    text = str(result.executor.to_json()["requests"])
    assert "<b>a dog</b></span> and <span" in text
    assert "2: a café" in text


def test_the_panel_without_a_sample_says_so(bench: Bench) -> None:
    bench.push()
    state = {"panel_id": "p", "__method__": "on_load", "panel_state": {}}
    text = str(execute(bench, "caption_panel", params=state).executor.to_json()["requests"])
    assert "Open a sample" in text
