"""Pushing again: what is in the App and what stands now become one sample. Pure.

Human work is never overwritten: a label that people changed since push or pull last wrote it stays
as it is, a box they removed stays away, and tags stay. Everything else follows what stands now.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bson import ObjectId

from pipeline.curation.box_state import BoxHistory, PairHistory, PairReview, Standing
from pipeline.review.sync.label.documents import (
    NOTHING,
    detection_document,
    label_object_id,
    pair_fields,
)
from pipeline.review.sync.label.seen import histories_by_label, labels_of, see_label
from pipeline.review.sync.label.stamp import (
    PAIR_DECISION_ID,
    PAIR_FIELDS,
    PAIR_REASON,
    PAIR_REVIEW,
    Stamp,
    pair_stamp,
)
from pipeline.review.sync.pull.reading import NO_DECISIONS, read_sample
from schemas.records import Annotation


@dataclass(frozen=True, slots=True, kw_only=True)
class MergedBoxes:
    """The new content of a sample's label list."""

    detections: list[Any]
    pushed_box_ids: list[str]
    kept: int
    """Labels left alone because people changed them."""


def merge_boxes(
    document: Mapping[str, Any],
    row: Annotation,
    histories: Mapping[str, BoxHistory],
    shown: Sequence[Standing],
    notes: Mapping[str, Mapping[str, Any]] = NOTHING,
    waiting: Collection[ObjectId | None] = frozenset(),
) -> MergedBoxes:
    """Bring a sample up to date without touching human work.

    Args:
        document: the sample in the App.
        row: its pair.
        histories: every box of the pair (`box_histories`).
        shown: the boxes that this push wants to show, as they stand now.
        notes: box id -> its notes.
        waiting: labels with something in the journal that no pull has taken. What a reviewer took
            back looks untouched, and the run may still hold the word.
    """
    by_label = histories_by_label(histories)
    wanted = {standing.box_id: standing for standing in shown}
    detections: list[Any] = []
    present: set[str] = set()
    pushed: list[str] = []
    kept = 0
    for label in labels_of(document):
        if not isinstance(label, Mapping) or not isinstance(label.get("_id"), ObjectId):
            detections.append(label)  # not ours to repair; pull reports it
            kept += 1
            continue
        seen = see_label(label, row, by_label)
        present.add(seen.box_id)
        standing = wanted.get(seen.box_id)
        is_kept = label["_id"] in waiting
        if not is_kept and seen.untouched and (standing is not None or not label.get("tags")):
            if standing is None:
                continue
            fresh = detection_document(row, standing, notes.get(seen.box_id, NOTHING))
            detections.append({**label, **fresh, "tags": list(label.get("tags") or ())})
        else:
            detections.append(label)
            kept += 1
        if seen.history is not None:
            pushed.append(seen.box_id)
    removed = [box_id for box_id in document.get("pushed_box_ids") or () if box_id not in present]
    pushed += removed
    for standing in shown:
        # Who deleted a box that somebody's undo had brought back has a word in the journal alone.
        is_deleted = standing.box_id in removed or label_object_id(standing.box_id) in waiting
        if standing.box_id not in present and not is_deleted:
            known = notes.get(standing.box_id, NOTHING)
            detections.append(detection_document(row, standing, known))
            pushed.append(standing.box_id)
    return MergedBoxes(detections=detections, pushed_box_ids=pushed, kept=kept)


def merge_phrases(fresh: Sequence[Any], document: Mapping[str, Any]) -> list[Any]:
    """The run's phrases, and behind them those that reviewers marked since the last pull."""
    return [*fresh, *(document.get("phrases") or [])[len(fresh) :]]


def merge_pair(
    document: Mapping[str, Any], pair: PairHistory, *, waiting: bool = False
) -> dict[str, Any]:
    """The verdict fields of a sample: as it stands, unless a reviewer changed them since.

    `waiting`: the journal has a word on it that no pull has taken.
    """
    base = pair.as_of(str(document.get(PAIR_DECISION_ID) or ""))
    stamp = pair_stamp(document)
    shown = (document.get(PAIR_REVIEW) or PairReview.OPEN, document.get(PAIR_REASON) or "")
    fresh = stamp is not None and stamp != Stamp(base.reviewer, base.reviewed_at)
    if waiting or fresh or shown != (base.review, base.reason):
        return {key: document[key] for key in PAIR_FIELDS if key in document}
    return dict(pair_fields(pair.current()))


def has_human_work(
    document: Mapping[str, Any],
    row: Annotation,
    histories: Mapping[str, BoxHistory],
    pair: PairHistory = NO_DECISIONS,
) -> bool:
    """True where a sample holds something that a new push could not make again."""
    reading = read_sample(document, row, histories, pair=pair)
    tags = [label.get("tags") for label in labels_of(document) if isinstance(label, Mapping)]
    undecided_drawn = any(
        see_label(label, row, histories_by_label(histories)).history is None
        for label in labels_of(document)
        if isinstance(label, Mapping) and isinstance(label.get("_id"), ObjectId)
    )
    return bool(
        reading.changes or reading.conflicts or undecided_drawn or document.get("tags") or any(tags)
    )
