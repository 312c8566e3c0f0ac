"""What a reviewer says about boxes, as writes by label id: usable with and without the App."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bson import ObjectId

from pipeline.curation.box_state import Origin, PairReview, Review
from pipeline.review.sync.label.stamp import (
    PAIR_REASON,
    PAIR_REVIEW,
    PAIR_REVIEWED_AT,
    PAIR_REVIEWER,
    REVIEWER,
    now,
)
from pipeline.review.sync.store.label_store import (
    Fields,
    Label,
    LabelStore,
    Wanted,
    WriteRefused,
    Written,
)
from pipeline.review.sync.store.write_labels import write_labels

Expected = Mapping[ObjectId, Fields]


def judge_boxes(
    store: LabelStore,
    sample_id: ObjectId,
    label_ids: Sequence[ObjectId],
    word: Review,
    *,
    expected: Expected | None = None,
    group: ObjectId | None = None,
) -> Written:
    """Accept or reject boxes.

    Accepting a box that was moved or renamed leaves it `fixed`: it is accepted already.

    Raises:
        WriteRefused: a box is gone or was changed since its author saw it, or is one that a
            person drew and that has no phrase yet.
    """

    # The same word by another reviewer is a word of its own: agreement is counted from it.
    own = {REVIEWER: store.reviewer}

    def values(label: Label) -> Fields:
        if word == Review.ACCEPTED:
            if label.get("origin") == Origin.HUMAN and label.get("phrase_index") is None:
                raise WriteRefused("a drawn box needs its phrase before it can be accepted")
            if label.get("review") == Review.FIXED:
                return own
        return {"review": str(word), **own}

    action = {Review.ACCEPTED: "accept", Review.REJECTED: "reject"}.get(word, str(word))
    return write_labels(
        store, sample_id, label_ids, values, action=action, group=group, expected=expected
    )


def judge_pair(
    store: LabelStore,
    sample_id: ObjectId,
    word: PairReview,
    *,
    reason: str = "",
    group: ObjectId | None = None,
) -> Written:
    """Call a whole pair done, bad or missing something, or open again.

    Raises:
        WriteRefused: the pair is gone, or bad without a reason.
    """
    if word == PairReview.BAD and not reason.strip():
        raise WriteRefused("say why the image is bad")
    fields = {
        PAIR_REVIEW: str(word),
        PAIR_REASON: reason.strip(),
        PAIR_REVIEWER: store.reviewer,
        PAIR_REVIEWED_AT: now(),
    }
    return store.rewrite(
        sample_id, lambda document: Wanted(fields=fields), action=str(word), group=group
    )


def give_phrase(
    store: LabelStore,
    sample_id: ObjectId,
    label_ids: Sequence[ObjectId],
    phrase_index: int,
    *,
    expected: Expected | None = None,
    group: ObjectId | None = None,
) -> Written:
    """Give boxes to another phrase of their caption: a teacher's box is then `fixed`, a drawn one
    accepted.

    Raises:
        WriteRefused: the caption has no such phrase, or as in `judge_boxes`.
    """
    phrases = store.document(sample_id).get("phrases") or []
    text = phrase_text(phrases, phrase_index)

    def values(label: Label) -> Fields:
        drawn = label.get("origin") == Origin.HUMAN
        if label.get("phrase_index") == phrase_index and label.get("label") == text:
            return {}
        word = Review.ACCEPTED if drawn else Review.FIXED
        return {"label": text, "phrase_index": phrase_index, "review": str(word)}

    return write_labels(
        store, sample_id, label_ids, values, action="relabel", group=group, expected=expected
    )


def phrase_text(phrases: Sequence[Mapping[str, Any]], index: int) -> str:
    """The text of a phrase.

    Raises:
        WriteRefused: there is no such phrase; names those that there are.
    """
    if not 0 <= index < len(phrases):
        allowed = ", ".join(f"{n}: {phrase['text']!r}" for n, phrase in enumerate(phrases))
        raise WriteRefused(f"phrase must be one of {allowed or 'none'}, got {index}")
    return str(phrases[index]["text"])
