"""What a reviewer does with phrases: mark words as a new one, split one, join two."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bson import ObjectId

from pipeline.curation.box_state import Origin, Review
from pipeline.review.sync.label.seen import labels_of
from pipeline.review.sync.label.stamp import REVIEWED_AT, REVIEWER, now
from pipeline.review.sync.store.label_store import Label, LabelStore, Wanted, WriteRefused, Written
from pipeline.review.sync.verdict.verdicts import phrase_text
from schemas.records import PhraseStatus

Span = tuple[int, int]


def new_phrase(
    store: LabelStore,
    sample_id: ObjectId,
    span: Span,
    *,
    label_ids: Sequence[ObjectId] = (),
    group: ObjectId | None = None,
) -> Written:
    """Make words of the caption a phrase, and give boxes to it.

    Args:
        store: the dataset, in the name of a reviewer.
        sample_id: the image.
        span: characters of the caption, [start, end); blanks at its ends are left out.
        label_ids: boxes that show it.
        group: joins the samples of one click.

    Raises:
        WriteRefused: the span is not in the caption or is a phrase already, or a box is gone.
    """

    def change(document: dict[str, Any]) -> Wanted:
        return _added(store, document, [(span, list(label_ids))])

    return store.rewrite(sample_id, change, action="new phrase", group=group)


def split_phrase(
    store: LabelStore,
    sample_id: ObjectId,
    index: int,
    at: int,
    *,
    second_ids: Sequence[ObjectId] = (),
    group: ObjectId | None = None,
) -> Written:
    """Make two phrases of one: what stands before a character of it, and what begins there.

    Its standing boxes go to the first, those of `second_ids` to the second; the old phrase keeps
    its number and those that were rejected.

    Raises:
        WriteRefused: there is no such phrase, nothing stands on one side of `at`, or a box of
            `second_ids` is not the phrase's.
    """

    def change(document: dict[str, Any]) -> Wanted:
        phrases = document.get("phrases") or []
        text = phrase_text(phrases, index)
        start, end = int(phrases[index]["start"]), int(phrases[index]["end"])
        if not 0 < at < len(text):
            raise WriteRefused(f"at must be inside {text!r}: 1 to {len(text) - 1}, got {at}")
        own = _standing(document, index)
        strangers = set(second_ids) - set(own)
        if strangers:
            raise WriteRefused(f"{len(strangers)} of the boxes are not boxes of {text!r}")
        first = [label_id for label_id in own if label_id not in set(second_ids)]
        parts: list[tuple[Span, list[ObjectId]]] = [
            ((start, start + at), first),
            ((start + at, end), list(second_ids)),
        ]
        return _added(store, document, parts)

    return store.rewrite(sample_id, change, action="split phrase", group=group)


def join_phrases(
    store: LabelStore,
    sample_id: ObjectId,
    first: int,
    second: int,
    *,
    group: ObjectId | None = None,
) -> Written:
    """Make one phrase from the first word of two to their last, with the standing boxes of both.

    Raises:
        WriteRefused: the caption lacks one of them, or both are the same.
    """

    def change(document: dict[str, Any]) -> Wanted:
        phrases = document.get("phrases") or []
        phrase_text(phrases, first), phrase_text(phrases, second)
        if first == second:
            raise WriteRefused(f"a phrase cannot be joined with itself, got {first} twice")
        both = [phrases[first], phrases[second]]
        span = (min(int(p["start"]) for p in both), max(int(p["end"]) for p in both))
        ids = [*_standing(document, first), *_standing(document, second)]
        return _added(store, document, [(span, ids)])

    return store.rewrite(sample_id, change, action="join phrases", group=group)


def _standing(document: dict[str, Any], index: int) -> list[ObjectId]:
    return [
        label["_id"]
        for label in labels_of(document)
        if label.get("phrase_index") == index and label.get("review") != Review.REJECTED
    ]


def _added(
    store: LabelStore, document: dict[str, Any], parts: Sequence[tuple[Span, list[ObjectId]]]
) -> Wanted:
    caption = str(document.get("caption") or "")
    phrases = list(document.get("phrases") or [])
    labels = labels_of(document)
    by_id: dict[Any, Label] = {label.get("_id"): label for label in labels}
    for (start, end), ids in parts:
        start, end = _trimmed(caption, start, end)
        if any((p["start"], p["end"]) == (start, end) for p in phrases):
            raise WriteRefused(f"{caption[start:end]!r} is a phrase already; nothing was changed")
        gone = [label_id for label_id in ids if label_id not in by_id]
        if gone:
            raise WriteRefused(f"{len(gone)} of {len(ids)} boxes are no longer on this image")
        for label_id in ids:
            drawn = by_id[label_id].get("origin") == Origin.HUMAN
            by_id[label_id] |= {
                "label": caption[start:end],
                "phrase_index": len(phrases),
                "review": str(Review.ACCEPTED if drawn else Review.FIXED),
            }
        phrases.append(
            {
                "_cls": "DynamicEmbeddedDocument",
                "text": caption[start:end],
                "start": start,
                "end": end,
                "status": str(PhraseStatus.OK),
                "best_score": 0.0,
                REVIEWER: store.reviewer,
                REVIEWED_AT: now(),
            }
        )
    return Wanted(labels=labels, fields={"phrases": phrases})


def _trimmed(caption: str, start: int, end: int) -> Span:
    if not 0 <= start < end <= len(caption):
        raise WriteRefused(
            f"span must be in the caption, [0, {len(caption)}], got [{start}, {end}]"
        )
    while start < end and caption[start].isspace():
        start += 1
    while start < end and caption[end - 1].isspace():
        end -= 1
    if start == end:
        raise WriteRefused("the marked words are blank; mark some letters of the caption")
    return start, end
