"""Builders of valid records; a test changes the one field it is about."""

from __future__ import annotations

from typing import Any

from schemas.records import (
    Annotation,
    CuratedBox,
    CuratedRecord,
    Decision,
    GroundedBox,
    Phrase,
    Status,
    Verdict,
)


def make_phrase(caption: str, text: str, **changes: Any) -> Phrase:
    start = caption.index(text)
    return Phrase(**({"text": text, "start": start, "end": start + len(text)} | changes))


def make_box(**changes: Any) -> GroundedBox:
    fields = {
        "box_id": "toy/0#0",
        "phrase_index": 0,
        "xyxy": (1.0, 2.0, 30.0, 40.0),
        "score": 0.5,
        "token_score": 0.5,
        "centerness": 0.5,
    }
    return GroundedBox(**(fields | changes))


def make_annotation(**changes: Any) -> Annotation:
    caption = "a dog and a café"
    fields = {
        "record_id": "toy/0",
        "source": "toy",
        "image_uri": "images/0.jpg",
        "image_sha256": "00" * 32,
        "width": 64,
        "height": 48,
        "caption": caption,
        "status": Status.OK,
        "detail": "",
        "phrases": (make_phrase(caption, "a dog"), make_phrase(caption, "a café", head="café")),
        "boxes": (make_box(),),
        "teacher_id": "fake@0",
    }
    return Annotation(**(fields | changes))


def make_curated(**changes: Any) -> CuratedRecord:
    row = make_annotation()
    box = CuratedBox(
        box_id="toy/0#0",
        xyxy=(1.0, 2.0, 3.0, 4.0),
        phrase_indices=(0, 1),
        score=0.5,
        origin="teacher",
    )
    fields = {
        name: getattr(row, name)
        for name in (
            "record_id",
            "source",
            "image_uri",
            "image_sha256",
            "width",
            "height",
            "caption",
            "phrases",
            "teacher_id",
        )
    } | {"boxes": (box,), "policy_id": "default@0", "decisions_id": ""}
    return CuratedRecord(**(fields | changes))


def make_decision(**changes: Any) -> Decision:
    fields = {
        "decision_id": "d0",
        "record_id": "toy/0",
        "box_id": "toy/0#0",
        "verdict": Verdict.EDIT,
        "xyxy": (0.0, 0.0, 10.0, 10.0),
        "phrase_index": 1,
        "reviewer": "ann",
        "decided_at": "2026-01-01T00:00:00.000000Z",
    }
    return Decision(**(fields | changes))
