"""Annotations as the documents that FiftyOne keeps in MongoDB. Pure: records in, dicts out.

One sample per image-caption pair. Ids are hashes of ours, so that a dataset that was dropped and
made again has the same ids. The keys follow FiftyOne 1.22; a test compares them with a sample that
FiftyOne made itself.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from bson import ObjectId

from pipeline.curation.box_state import OPEN_PAIR, PairStanding, Standing
from pipeline.review.sync.label.stamp import (
    PAIR_DECISION_ID,
    PAIR_REASON,
    PAIR_REVIEW,
    PAIR_REVIEWED_AT,
    PAIR_REVIEWER,
    REVIEWED_AT,
    REVIEWER,
)
from schemas.boxes import xyxy_to_relative_xywh
from schemas.records import Annotation, Phrase

BOXES = "boxes"
DETECTIONS = f"{BOXES}.detections"
DRAWN_MARK = "#drawn-"
NOTHING: Mapping[str, Any] = {}
_DRAWN_ID = re.compile(re.escape(DRAWN_MARK) + r"([0-9a-f]{24})$")


def sample_object_id(record_id: str) -> ObjectId:
    """The sample's id: a hash of the pair's."""
    return _hashed_id("pair:" + record_id)


def label_object_id(box_id: str) -> ObjectId:
    """The label's id: a hash of the box's; a box drawn in the App keeps the id it got there."""
    drawn = _DRAWN_ID.search(box_id)
    return ObjectId(drawn[1]) if drawn else _hashed_id("box:" + box_id)


def drawn_box_id(record_id: str, label_id: ObjectId) -> str:
    """The id of a box that a person drew: made from the label's, so pulling twice gives one box."""
    return f"{record_id}{DRAWN_MARK}{label_id}"


def _hashed_id(text: str) -> ObjectId:
    return ObjectId(hashlib.blake2b(text.encode(), digest_size=12).digest())


def _share_of(text: str) -> float:
    """A number in [0, 1) that depends on `text` alone."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=6).digest(), "big") / 2**48


def relative_box(xyxy: Sequence[float], size_wh: tuple[int, int]) -> list[float]:
    """FiftyOne's [x, y, width, height] as shares of the image."""
    return [float(v) for v in xyxy_to_relative_xywh([xyxy], size_wh)[0]]


def detection_document(
    row: Annotation, box: Standing, notes: Mapping[str, Any] = NOTHING
) -> dict[str, Any]:
    """One box as a label of the `boxes` field, with its notes (`notes.box_notes`).

    A box that a person drew has no `confidence`.
    """
    score = {} if box.score is None else {"confidence": float(box.score)}
    return {
        "_id": label_object_id(box.box_id),
        "_cls": "Detection",
        "attributes": {},
        "tags": [],
        "label": row.phrases[box.phrase_index].text,
        "bounding_box": relative_box(box.xyxy, (row.width, row.height)),
        **score,
        "box_id": box.box_id,
        "phrase_index": box.phrase_index,
        "review": str(box.review),
        "origin": str(box.origin),
        "decision_id": box.decision_id,
        REVIEWER: box.reviewer,
        REVIEWED_AT: box.reviewed_at,
        **notes,
    }


def pair_fields(pair: PairStanding) -> dict[str, str]:
    """The verdict about a whole pair as fields of its sample."""
    return {
        PAIR_REVIEW: str(pair.review),
        PAIR_REASON: pair.reason,
        PAIR_REVIEWER: pair.reviewer,
        PAIR_REVIEWED_AT: pair.reviewed_at,
        PAIR_DECISION_ID: pair.decision_id,
    }


def phrase_document(phrase: Phrase) -> dict[str, Any]:
    """One phrase of the caption with its character span."""
    return {
        "_cls": "DynamicEmbeddedDocument",
        "text": phrase.text,
        "start": phrase.start,
        "end": phrase.end,
        "status": str(phrase.status),
        "best_score": float(phrase.best_score),
    }


def sample_document(
    row: Annotation,
    boxes: Iterable[Standing],
    *,
    filepath: str,
    dataset_id: ObjectId,
    now: datetime,
    pair: PairStanding = OPEN_PAIR,
    notes: Mapping[str, Mapping[str, Any]] = NOTHING,
    pair_notes: Mapping[str, Any] = NOTHING,
) -> dict[str, Any]:
    """One pair as a sample.

    Args:
        row: the annotation.
        boxes: the boxes to show, in order.
        filepath: absolute path of an image file that a browser can show.
        dataset_id: id of the dataset's own document.
        now: becomes both times of the sample; UTC.
        pair: the verdict about the whole pair.
        notes: box id -> its notes.
        pair_notes: the pair's own (`notes.pair_notes`).
    """
    shown = list(boxes)
    return {
        "_id": sample_object_id(row.record_id),
        "filepath": filepath,
        "tags": [],
        "metadata": {
            "_cls": "ImageMetadata",
            "width": row.width,
            "height": row.height,
        },
        "_media_type": "image",
        # FiftyOne shuffles by this number; from the id, so that a rebuilt dataset shuffles alike.
        "_rand": _share_of(row.record_id),
        "_dataset_id": dataset_id,
        "created_at": now,
        "last_modified_at": now,
        "record_id": row.record_id,
        "image_id": row.image_sha256,
        "source": row.source,
        "caption": row.caption,
        "caption_origin": row.caption_origin,
        "status": str(row.status),
        "teacher_id": row.teacher_id,
        "phrases": [phrase_document(phrase) for phrase in row.phrases],
        "pushed_box_ids": [box.box_id for box in shown],
        "conflicts": [],
        **pair_fields(pair),
        **pair_notes,
        BOXES: {
            "_cls": "Detections",
            "detections": [
                detection_document(row, box, notes.get(box.box_id, NOTHING)) for box in shown
            ],
        },
    }
