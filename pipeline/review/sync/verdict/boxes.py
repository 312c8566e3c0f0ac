"""What a reviewer does with whole boxes: copy them to a phrase, judge all above a score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bson import ObjectId

from pipeline.curation.box_state import Origin, Review
from pipeline.review.sync.label.documents import BOXES
from pipeline.review.sync.label.seen import labels_of
from pipeline.review.sync.store.label_store import LabelStore, Wanted, WriteRefused, Written
from pipeline.review.sync.verdict.verdicts import give_phrase, judge_boxes, phrase_text


def copy_boxes(
    store: LabelStore,
    sample_id: ObjectId,
    label_ids: Sequence[ObjectId],
    phrase_index: int,
    *,
    group: ObjectId | None = None,
) -> Written:
    """Give boxes to another phrase as well: copies at their places, drawn by the reviewer.

    Raises:
        WriteRefused: a box is gone, the caption has no such phrase, or a box is of it already.
    """
    wanted = set(label_ids)

    def change(document: dict[str, Any]) -> Wanted:
        text = phrase_text(document.get("phrases") or [], phrase_index)
        labels = labels_of(document)
        found = [label for label in labels if label.get("_id") in wanted]
        if not found or len(found) != len(wanted):
            raise WriteRefused(
                f"{len(wanted) - len(found)} of {len(wanted)} boxes are no longer on this image; "
                "nothing was copied"
            )
        for label in found:
            if label.get("phrase_index") == phrase_index:
                raise WriteRefused(f"a box is one of {text!r} already; nothing was copied")
            labels.append(
                {
                    "_id": ObjectId(),
                    "_cls": "Detection",
                    "attributes": {},
                    "tags": [],
                    "label": text,
                    "bounding_box": list(label["bounding_box"]),
                    "phrase_index": phrase_index,
                    "review": str(Review.ACCEPTED),
                    "origin": str(Origin.HUMAN),
                }
            )
        return Wanted(labels=labels)

    return store.rewrite(sample_id, change, action="copy", group=group)


def merge_phrases(
    store: LabelStore,
    sample_id: ObjectId,
    source: int,
    target: int,
    *,
    group: ObjectId | None = None,
) -> Written:
    """Give every standing box of one phrase to another; rejected ones stay where they are.

    Raises:
        WriteRefused: the caption lacks one of them, both are the same, or there is no box.
    """
    document = store.document(sample_id)
    text = phrase_text(document.get("phrases") or [], source)
    if source == target:
        raise WriteRefused(f"a phrase cannot be merged with itself, got {source} twice")
    ids = [
        label["_id"]
        for label in labels_of(document)
        if label.get("phrase_index") == source and label.get("review") != Review.REJECTED
    ]
    if not ids:
        raise WriteRefused(f"{text!r} has no box to give to another phrase")
    return give_phrase(store, sample_id, ids, target, group=group)


def accept_above(
    store: LabelStore, shown: Mapping[ObjectId, Sequence[ObjectId]], score: float
) -> tuple[list[Written], list[str]]:
    """Accept every pending box that is shown and scores at least `score`, as one click.

    Args:
        store: the dataset, in the name of a reviewer.
        shown: sample -> the labels that the view shows of it.
        score: of the teacher, in [0, 1].

    Raises:
        WriteRefused: the score is not a share.

    Returns:
        What was written, and a sentence for each image on which somebody was faster.
    """
    if not 0.0 <= score <= 1.0:
        raise WriteRefused(f"score must be in [0, 1], got {score}")
    group = ObjectId()
    written, refused = [], []
    for sample_id, ids in above(store, shown, score).items():
        seen = {label_id: {"review": str(Review.PENDING)} for label_id in ids}
        try:
            written.append(
                judge_boxes(store, sample_id, ids, Review.ACCEPTED, expected=seen, group=group)
            )
        except WriteRefused as error:
            refused.append(str(error))
    return written, refused


def above(
    store: LabelStore, shown: Mapping[ObjectId, Sequence[ObjectId]], score: float
) -> dict[ObjectId, list[ObjectId]]:
    """The pending ones of the shown boxes that score at least so much, by sample."""
    found: dict[ObjectId, list[ObjectId]] = {}
    for document in store.samples.find({"_id": {"$in": list(shown)}}, {BOXES: 1}, batch_size=1000):
        visible = set(shown[document["_id"]])
        ids = [
            label["_id"]
            for label in labels_of(document)
            if label.get("_id") in visible
            and label.get("review") == Review.PENDING
            and isinstance(label.get("confidence"), float)
            and label["confidence"] >= score
        ]
        if ids:
            found[document["_id"]] = ids
    return found
