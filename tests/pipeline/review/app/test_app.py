"""The real App server: readiness, the guard, the plugin, and edits as the browser sends them."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC
from typing import Any
from urllib.parse import quote

import pytest

from pipeline.images.palette import phrase_hex
from pipeline.review.app.server import AppServer, run_server
from pipeline.review.child_process import port_answers
from pipeline.review.sync.label.notes import Notes
from pipeline.review.sync.store.label_store import VERSIONS
from tests.pipeline.review.bench import Bench
from tests.pipeline.review.conftest import ReviewSession

pytestmark = [pytest.mark.slow, pytest.mark.fiftyone]


@pytest.fixture(scope="module")
def server(review_session: ReviewSession) -> Iterator[AppServer]:
    with run_server(review_session.home, review_session.database) as running:
        yield running
    assert running.process.poll() is not None
    assert not port_answers(running.port)


def ask(
    server: AppServer, path: str, body: Any = None, method: str | None = None, **headers: str
) -> tuple[int, bytes]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.port}{path}",
        data=None if body is None else json.dumps(body).encode(),
        method=method,
        headers={"Content-Type": "application/json"}
        | {name.replace("_", "-"): value for name, value in headers.items()},
    )
    try:
        with urllib.request.urlopen(request, timeout=200) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def patch(
    server: AppServer,
    bench: Bench,
    operations: list[dict[str, Any]],
    *,
    document: dict[str, Any] | None = None,
    below: str = "",
    **headers: str,
) -> tuple[int, bytes]:
    """Save pair 0 as Annotate mode does, from what the page has of it."""
    document = document or bench.document(0)
    stamp = document["last_modified_at"].replace(tzinfo=UTC).isoformat()
    shown = ",".join(str(label["_id"]) for label in document["boxes"]["detections"])
    return ask(
        server,
        f"/dataset/{bench.stored.dataset_id}/sample/{document['_id']}{below}",
        operations,
        "PATCH",
        **(
            {
                "If_Match": f'"{stamp}"',
                "Content_Type": "application/json-patch+json",
                "X_Glipforge_Labels": shown,
            }
            | headers
        ),
    )


def said(body: bytes) -> str:
    """The sentence of a refusal."""
    return str(json.loads(body)["glipforge"])


def test_the_page_and_only_images_of_samples_are_served(server: AppServer, bench: Bench) -> None:
    bench.push()
    image = bench.rows[0].image_uri
    assert ask(server, f"/datasets/{bench.name}")[0] == 200
    assert ask(server, f"/media?filepath={quote(image)}")[0] == 200
    assert ask(server, f"/media?filepath={quote(os.path.abspath(__file__))}")[0] == 403
    assert ask(server, "/fiftyone", Host="evil.example")[0] == 403
    assert ask(server, "/operators/execute", {}, Origin="http://evil.example")[0] == 403


def test_the_server_offers_the_plugin(server: AppServer, bench: Bench) -> None:
    status, body = ask(server, "/operators", {"dataset_name": bench.name})
    assert status == 200
    listed = {entry["uri"] for entry in json.loads(body)["operators"]}
    names = ("accept_labels", "reject_labels", "relabel_phrase", "caption_panel")
    assert {f"@glipforge/review/{name}" for name in names} <= listed
    assert json.loads(body)["errors"] == []


def test_edits_of_annotate_mode_become_decisions(server: AppServer, bench: Bench) -> None:
    bench.push()
    x, y, w, h = bench.label("toy/0#0")["bounding_box"]
    moved = [
        {
            "op": "replace",
            "path": "/boxes/detections/0/bounding_box",
            "value": [x, y, w + 0.25, h],
        },
        {"op": "replace", "path": "/boxes/detections/1/review", "value": "rejected"},
        {"op": "remove", "path": "/boxes/detections/2"},
        {
            "op": "add",
            "path": "/boxes/detections/-",
            "value": {
                "_cls": "Detection",
                "_id": {"$oid": "bb" * 12},
                "label": "a dog",
                "bounding_box": [0.25, 0.25, 0.5, 0.5],
                "review": "accepted",
                "origin": "human",
            },
        },
    ]
    assert patch(server, bench, moved)[0] == 200
    assert bench.document()["boxes"]["detections"][-1]["label"] is None
    named = [{"op": "replace", "path": "/boxes/detections/2/label", "value": "a café"}]
    assert patch(server, bench, named)[0] == 200
    report = bench.pull()
    assert report.conflicts == []
    by_box = {decision.box_id: decision for decision in report.decisions}
    assert report.verdicts() == {"edit": 1, "drop": 2, "add": 1}
    assert by_box["toy/0#0"].xyxy == (1.0, 2.0, 46.0, 40.0)
    assert by_box["toy/0#drawn-" + "bb" * 12].xyxy == (16.0, 12.0, 48.0, 36.0)
    # What FiftyOne wrote kept the attributes that its schema does not declare.
    assert bench.label("toy/0#1")["box_id"] == "toy/0#1"
    assert bench.pull().decisions == []
    # Marking did not move the time: a reviewer with the sample open can still save.
    again = [{"op": "replace", "path": "/boxes/detections/0/review", "value": "rejected"}]
    assert patch(server, bench, again)[0] == 200
    assert bench.pull().verdicts() == {"drop": 1}


def test_a_save_after_an_unknown_change_is_refused_in_a_sentence(
    server: AppServer, bench: Bench
) -> None:
    bench.push()
    before = bench.document(0)
    bench.set("toy/0#2", "review", "accepted")  # as a notebook would
    changed = bench.document(0)
    assert changed["last_modified_at"] != before["last_modified_at"]
    status, body = patch(server, bench, [REJECT], document=before)
    assert status == 409  # a 412 would make the page send its whole copy
    assert "was changed since you opened it" in said(body)
    assert bench.document(0) == changed


def test_an_image_that_a_push_replaced_while_it_was_open_is_saved_into_the_new_one(
    server: AppServer, bench: Bench
) -> None:
    bench.push()
    bench.set("toy/0#0", "review", "rejected")
    bench.set("toy/0#1", "bounding_box", [0.11, 0.13, 0.3, 0.3])
    opened = bench.document(0)
    assert bench.pull().verdicts() == {"drop": 1, "edit": 1}
    assert bench.push(notes=Notes(keeps=lambda row: frozenset())).refreshed == 3
    replaced = bench.document(0)
    assert replaced["last_modified_at"] != opened["last_modified_at"]
    moved = [0.12, 0.13, 0.3, 0.3]
    edit = {"op": "replace", "path": "/boxes/detections/1/bounding_box", "value": moved}
    assert patch(server, bench, [edit], document=opened)[0] == 200
    assert bench.label("toy/0#1")["bounding_box"] == moved
    boxes = [bench.document(0), replaced]
    for there in boxes:
        there["boxes"]["detections"].pop(1)
    assert boxes[0]["boxes"] == boxes[1]["boxes"]  # with what the push wrote
    assert bench.pull().verdicts() == {"edit": 1}
    # What the push took away is not brought back.
    opened = bench.document(2)
    bench.push(min_score=0.4)
    gone = [{"op": "replace", "path": "/boxes/detections/2/review", "value": "accepted"}]
    status, body = patch(server, bench, gone, document=opened)
    assert (status, "somebody deleted the box 'a café' meanwhile" in said(body)) == (409, True)


def test_a_push_that_changes_nothing_keeps_no_version(
    server: AppServer, bench: Bench, review_session: ReviewSession
) -> None:
    bench.push()
    ids = {"_id": {"$regex": f"^{bench.document(0)['_id']}:"}}
    versions = review_session.store[VERSIONS]
    before = versions.count_documents(ids)
    assert bench.push().unchanged == 3
    assert versions.count_documents(ids) == before
    bench.push(notes=Notes(keeps=lambda row: frozenset()))
    assert versions.count_documents(ids) == before + 1


REJECT = {"op": "replace", "path": "/boxes/detections/1/review", "value": "rejected"}


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        ({"X_Glipforge_Labels": "x"}, "must be label ids"),
        ({"X_Glipforge_Labels": "aa" * 12}, "shows 1 boxes that this version"),
        ({"X_Glipforge_Labels": ""}, "box 1 does not exist among the 0 shown"),
        ({"If_Match": "?"}, "If-Match must name the version"),
        ({"Content_Type": "application/json"}, "must be application/json-patch+json"),
        ({"below": f"/boxes/{'aa' * 12}"}, "open the image and choose Annotate"),
        ({"below": "/commit-mask"}, "open the image and choose Annotate"),
    ],
)
def test_what_cannot_be_placed_is_refused(
    server: AppServer, bench: Bench, request_: dict[str, str], sentence: str
) -> None:
    bench.push()
    before = bench.document(0)
    status, body = patch(server, bench, [REJECT], **request_)
    assert (status, sentence in said(body)) == (409, True), body
    assert bench.document(0) == before


def test_without_the_plugins_page_nothing_is_saved(server: AppServer, bench: Bench) -> None:
    bench.push()
    before = bench.document(0)
    stamp = before["last_modified_at"].replace(tzinfo=UTC).isoformat()
    status, body = ask(
        server,
        f"/dataset/{bench.stored.dataset_id}/sample/{before['_id']}",
        [REJECT],
        "PATCH",
        If_Match=f'"{stamp}"',
        Content_Type="application/json-patch+json",
    )
    assert (status, "the review plugin did not load" in said(body)) == (409, True)
    assert bench.document(0) == before


def test_the_answer_to_a_save_is_what_fiftyones_page_expects(
    server: AppServer, bench: Bench
) -> None:
    """The same keys as FiftyOne's own route would send."""
    bench.push()
    body = json.loads(patch(server, bench, [REJECT])[1])
    sample = bench.dataset[body["_id"]["$oid"]].to_dict(include_private=True)
    assert set(body) == set(sample)
    assert set(body["boxes"]["detections"][1]) == set(sample["boxes"]["detections"][1])


def test_the_page_gets_its_colours_and_its_reviewer(server: AppServer) -> None:
    status, body = ask(server, "/glipforge/settings")
    settings = json.loads(body)
    assert (status, settings["colors"][0]) == (200, phrase_hex(0))
    assert settings["reviewer"]
    assert ask(server, "/glipforge/settings", Host="evil.example")[0] == 403


def test_the_plugins_page_is_served_as_modules(server: AppServer) -> None:
    status, body = ask(server, "/plugins")
    (plugin,) = (p for p in json.loads(body)["plugins"] if p["name"] == "@glipforge/review")
    assert (status, plugin["has_js"], plugin["js_bundle_exists"]) == (200, True, True)
    for name in ("index.umd.js", "page/main.js"):
        assert ask(server, f"{plugin['server_path']}/dist/{name}")[0] == 200
