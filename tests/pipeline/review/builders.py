"""Samples as the App would hold them, made from records."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from bson import ObjectId

from pipeline.curation.box_state import BoxHistory, box_histories
from pipeline.review.sync.label.documents import sample_document
from schemas.records import Annotation, Decision, Verdict
from tests.schemas.builders import make_annotation, make_box, make_phrase

NOW = datetime(2026, 1, 1)
DATASET_ID = ObjectId("0" * 24)


def make_row(**changes: Any) -> Annotation:
    """Two boxes for "a dog", one for "a café"."""
    boxes = (
        make_box(box_id="toy/0#0"),
        make_box(box_id="toy/0#1", xyxy=(5.0, 6.0, 20.0, 21.5), score=0.25),
        make_box(box_id="toy/0#2", phrase_index=1, xyxy=(0.0, 0.0, 64.0, 48.0), score=0.125),
    )
    return make_annotation(**({"boxes": boxes} | changes))


def make_twins() -> Annotation:
    """A caption with the same words twice."""
    caption = "a dog and a dog"
    first = make_phrase(caption, "a dog")
    second = make_phrase(caption, "a dog", start=10, end=15)
    return make_row(caption=caption, phrases=(first, second), boxes=(make_box(box_id="toy/0#0"),))


def decide(box_id: str, verdict: Verdict, number: int = 0, **changes: Any) -> Decision:
    """Decision `d<number>`, made in second `number`."""
    fields: dict[str, Any] = {
        "decision_id": f"d{number}",
        "record_id": "toy/0",
        "box_id": box_id,
        "verdict": verdict,
        "xyxy": None,
        "phrase_index": None,
        "reviewer": "ann",
        "decided_at": f"2026-01-01T00:00:{number:02d}.000000Z",
    }
    return Decision(**(fields | changes))


def pushed(row: Annotation, *decisions: Decision) -> tuple[dict[str, Any], dict[str, BoxHistory]]:
    """A fresh sample that shows every box, and the histories it was made from."""
    histories = box_histories(row, decisions)
    document = sample_document(
        row,
        [history.current() for history in histories.values()],
        filepath="/images/0.jpg",
        dataset_id=DATASET_ID,
        now=NOW,
    )
    return document, histories


def labels(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The label documents, to be changed in place."""
    return document["boxes"]["detections"]


def drawn_label(**changes: Any) -> dict[str, Any]:
    """What Annotate mode saves for a box that a person drew."""
    return {
        "_id": ObjectId("aa" * 12),
        "_cls": "Detection",
        "attributes": {},
        "tags": [],
        "label": "a café",
        "bounding_box": [0.25, 0.25, 0.5, 0.5],
        "review": "accepted",
        "origin": "human",
    } | changes
