"""What a JSON patch by position does to labels, also in a view that hides some of them."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from bson import ObjectId

from pipeline.review.app.edited_label import consequences
from pipeline.review.app.label_patch import Patched, apply_patch
from pipeline.review.sync.store.label_store import WriteRefused

PHRASES = [{"text": "a dog"}, {"text": "a café"}]
IDS = [ObjectId(f"{n:024x}") for n in range(1, 6)]


def box(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "_id": IDS[number],
        "_cls": "Detection",
        "tags": [],
        "label": "a dog",
        "bounding_box": [0.1 * number, 0.1, 0.2, 0.2],
        "confidence": 0.5,
        "box_id": f"toy/0#{number}",
        "phrase_index": 0,
        "review": "pending",
        "origin": "teacher",
        "decision_id": "",
    } | changes


def boxes() -> list[dict[str, Any]]:
    return [box(number) for number in range(4)]


def replace(position: int, field: str, value: Any, op: str = "replace") -> dict[str, Any]:
    return {"op": op, "path": f"/boxes/detections/{position}/{field}", "value": value}


def remove(position: int) -> dict[str, Any]:
    return {"op": "remove", "path": f"/boxes/detections/{position}"}


def test_a_place_that_pull_and_push_wrote_again_in_32_bits_is_the_same() -> None:
    written = box(1, bounding_box=[0.11, 0.1, 0.2, 0.2])
    again = copy.deepcopy(written)
    again["bounding_box"] = [float(np.float32(v * 320)) / 320 for v in written["bounding_box"]]
    assert again != written
    wanted = [0.12, 0.1, 0.2, 0.2]
    edit = replace(0, "bounding_box", wanted)
    for change, refuses in ((again, False), (box(1, bounding_box=[0.111, 0.1, 0.2, 0.2]), True)):
        options = {"current": [change], "base": [written], "page_ids": [IDS[1]], "phrases": PHRASES}
        if refuses:
            with pytest.raises(WriteRefused, match="changed bounding_box of the box 'a dog'"):
                apply_patch([edit], **options)
        else:
            assert apply_patch([edit], **options).labels[0]["bounding_box"] == wanted


def draw(**changes: Any) -> dict[str, Any]:
    value = {
        "_cls": "Detection",
        "_id": IDS[4],
        "label": "a dog",
        "review": "accepted",
        "origin": "human",
        "phrase_index": 0,
        "bounding_box": [0.5, 0.5, 0.25, 0.25],
    } | changes
    return {"op": "add", "path": "/boxes/detections/-", "value": value}


def patch(*operations: dict[str, Any], **changes: Any) -> Patched:
    current = changes.pop("current", None) or boxes()
    base = changes.pop("base", None) or copy.deepcopy(current)
    page_ids = changes.pop("page_ids", None) or [label["_id"] for label in base]
    return apply_patch(
        operations, current=current, base=base, page_ids=page_ids, phrases=PHRASES, **changes
    )


def test_a_position_is_one_of_the_page_not_of_the_store() -> None:
    page = [IDS[1], IDS[3]]
    done = patch(replace(1, "bounding_box/0", 0.7), page_ids=page)
    assert [label["bounding_box"][0] for label in done.labels] == [0.0, 0.1, 0.2, 0.7]
    assert done.labels[:3] == boxes()[:3]
    assert [label["_id"] for label in done.page] == page
    assert {label["_id"] for label in done.known} == set(IDS[:4])
    assert done.touched == (IDS[3],)


def test_a_removal_takes_the_box_that_was_meant_and_no_hidden_one() -> None:
    done = patch(remove(0), page_ids=[IDS[2], IDS[3]])
    assert [label["_id"] for label in done.labels] == [IDS[0], IDS[1], IDS[3]]


def test_positions_count_on_after_a_removal() -> None:
    done = patch(remove(1), replace(1, "review", "rejected"))
    assert {label["_id"]: label["review"] for label in done.labels} == {
        IDS[0]: "pending",
        IDS[2]: "rejected",
        IDS[3]: "pending",
    }


def test_two_removals_are_more_than_a_reviewer_does() -> None:
    with pytest.raises(WriteRefused, match="more than one box would be deleted at once"):
        patch(remove(2), remove(0))


def test_what_others_did_to_other_boxes_and_fields_stays() -> None:
    current = boxes()
    current[0]["review"] = "rejected"
    current[2]["label"] = "a café"
    del current[3]
    done = patch(replace(2, "bounding_box/1", 0.4), current=current, base=boxes())
    assert done.labels[0]["review"] == "rejected"
    assert done.labels[2]["label"] == "a café"
    assert done.labels[2]["bounding_box"][1] == 0.4
    assert len(done.labels) == 3
    assert [label["review"] for label in done.page] == ["pending", "pending", "fixed", "pending"]


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        (replace(0, "review", "accepted"), "ann changed review of the box 'a dog' meanwhile"),
        (remove(0), "ann changed review of the box 'a dog' meanwhile"),
        (replace(3, "review", "accepted"), "somebody deleted the box 'a dog' meanwhile"),
    ],
)
def test_what_collides_is_refused(operation: dict[str, Any], message: str) -> None:
    current = boxes()
    current[0] |= {"review": "rejected", "reviewer": "ann"}
    del current[3]
    with pytest.raises(WriteRefused, match=message):
        patch(operation, current=current, base=boxes())


def test_the_same_change_by_two_people_is_no_collision() -> None:
    current = boxes()
    current[0]["review"] = "rejected"
    done = patch(replace(0, "review", "rejected"), current=current, base=boxes())
    assert done.labels[0]["review"] == "rejected"


def test_a_box_that_is_gone_can_be_deleted_once_more() -> None:
    done = patch(remove(3), current=boxes()[:3], base=boxes())
    assert len(done.labels) == 3


def test_a_drawn_box_says_nothing_of_the_box_before() -> None:
    done = patch(draw())
    new = done.labels[-1]
    assert (new["label"], new["review"], new["origin"]) == (None, "pending", "human")
    assert "phrase_index" not in new
    assert new["bounding_box"] == [0.5, 0.5, 0.25, 0.25]
    assert (done.drawn, done.carried) == ((IDS[4],), {IDS[4]: "a dog"})


def test_the_page_sends_the_carried_label_once_more_in_vain() -> None:
    first = patch(draw())
    again = patch(
        replace(4, "label", "a dog"), current=first.labels, base=first.page, carried=first.carried
    )
    assert again.labels[-1]["label"] is None
    assert again.page[-1]["label"] == "a dog"
    named = patch(replace(4, "label", "a dog"), current=again.labels, base=again.labels)
    assert named.labels[-1]["label"] == "a dog"
    assert (named.labels[-1]["phrase_index"], named.labels[-1]["review"]) == (0, "accepted")


def test_a_drawn_box_without_a_phrase_cannot_be_accepted() -> None:
    first = patch(draw(label=None))
    done = patch(replace(4, "review", "accepted"), current=first.labels)
    assert done.labels[-1]["review"] == "pending"


def test_what_is_not_the_pages_to_change_stays() -> None:
    done = patch(
        replace(1, "decision_id", "x"), replace(1, "box_id", "y"), remove_field(1, "origin")
    )
    assert done.labels == boxes()
    assert done.page[1]["decision_id"] == "x"


def remove_field(position: int, field: str) -> dict[str, Any]:
    return {"op": "remove", "path": f"/boxes/detections/{position}/{field}"}


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        ({"op": "replace", "path": "/caption", "value": "x"}, "only boxes can be changed here"),
        ({"op": "remove", "path": "/boxes"}, "only boxes can be changed here"),
        ({"op": "move", "path": "/boxes/detections/0", "from": "/x"}, "only boxes can be changed"),
        ({"op": "replace", "path": "/boxes/detections/0", "value": {}}, "field by field"),
        (replace(9, "review", "accepted"), "box 9 does not exist among the 4 shown"),
        (replace(0, "bounding_box/9", 0.5), "cannot be changed so"),
        (replace(0, "bounding_box", [0.1, 0.1, 0.0, 0.2]), r"with an area, got \[0.1, 0.1, 0.0"),
        (replace(0, "bounding_box/2", float("nan")), "bounding_box must be"),
        (draw(_id="x"), "a drawn box needs an id, got 'x'"),
        (draw(_id=IDS[0]), "exists already"),
        (draw(bounding_box=None), "bounding_box must be"),
    ],
)
def test_what_is_not_an_edit_of_boxes_is_refused(operation: Any, message: str) -> None:
    with pytest.raises(WriteRefused, match=message):
        patch(operation)


def test_a_page_that_shows_unknown_boxes_is_out_of_date() -> None:
    with pytest.raises(WriteRefused, match="shows 1 boxes that this version of the image does not"):
        patch(remove(0), page_ids=[IDS[0], IDS[4]])


def test_labels_without_an_id_survive_an_edit_of_others() -> None:
    broken = [*boxes(), {"label": "?"}, {"label": "!"}]
    done = patch(replace(0, "review", "rejected"), current=broken, base=broken, page_ids=IDS[:4])
    assert done.labels[4:] == [{"label": "?"}, {"label": "!"}]


@pytest.mark.parametrize(
    ("names", "changes", "expected"),
    [
        ({"label"}, {"label": "A CAFÉ"}, {"label": "a café", "phrase_index": 1, "review": "fixed"}),
        ({"label"}, {"label": "a zebra"}, {"review": "fixed"}),
        (
            {"phrase_index"},
            {"phrase_index": 1.0},
            {"phrase_index": 1, "label": "a café", "review": "fixed"},
        ),
        ({"phrase_index"}, {"phrase_index": 7}, {"review": "fixed"}),
        ({"bounding_box"}, {}, {"review": "fixed"}),
        ({"bounding_box"}, {"review": "rejected"}, {}),
        ({"bounding_box", "review"}, {"review": "accepted"}, {}),
        ({"tags"}, {}, {}),
    ],
)
def test_label_and_phrase_go_together(
    names: set[str], changes: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert consequences(box(0, **changes), names, box(0), ["a dog", "a café"]) == expected
