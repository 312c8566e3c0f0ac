"""A reviewer for the demo who knows the truth: judges boxes in the App's database as people do.

It writes the word that the App's Accept and Reject buttons write, into the same documents; what
follows (`glipforge review pull`) cannot tell it from a person, but for the name in the decisions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from schemas.boxes import pairwise_iou, relative_xywh_to_xyxy

if TYPE_CHECKING:
    from pipeline.evaluation.gold_index import JoinedPair
    from pipeline.gold import GoldSet
    from pipeline.run.store import RunStore

MIN_IOU = 0.5


@dataclass(kw_only=True)
class Judged:
    """What the reviewer did."""

    pairs: int = 0
    accepted: int = 0
    rejected: int = 0


def judge_by_truth(
    run_uri: str, labelled: RunStore, gold: GoldSet, *, pairs: int, home: Path | None = None
) -> Judged:
    """Accept and reject the boxes that the App shows for some pairs, by gold boxes.

    Args:
        run_uri: the run as it was pushed.
        labelled: the same run, opened.
        gold: grounding gold of the same captions.
        pairs: how many pairs to look at, those with the most boxes first.
        home: the review home.

    Raises:
        ConfigError: the run was never pushed, or no pair of it is in the gold.
    """
    from pipeline.curation.box_state import Review
    from pipeline.evaluation.gold_index import JoinCounts, join_run
    from pipeline.review.sync.label.documents import sample_object_id
    from pipeline.review.sync.label.seen import labels_of
    from pipeline.review.sync.store.run_dataset import pushed_dataset, review_store

    joined = join_run(labelled.iter_annotations(), gold, JoinCounts())
    judged = Judged()
    with review_store(home) as (_, _, store):
        stored = pushed_dataset(store, run_uri, None)
        by_id = {sample_object_id(pair.record.record_id): pair for pair in joined}
        shown = stored.documents(by_id)
        busiest = sorted(shown, key=lambda key: (-len(labels_of(shown[key])), str(key)))[:pairs]
        changes = {}
        for key in busiest:
            right = right_labels(labels_of(shown[key]), by_id[key])
            judged.pairs += 1
            judged.accepted += sum(right)
            judged.rejected += len(right) - sum(right)
            words = {
                f"boxes.detections.{number}.review": str(
                    Review.ACCEPTED if fits else Review.REJECTED
                )
                for number, fits in enumerate(right)
            }
            if words:
                changes[key] = words
        stored.set_fields(changes)
    return judged


def right_labels(labels: Sequence[Mapping[str, Any]], pair: JoinedPair) -> list[bool]:
    """True for a label whose phrase has a gold box at IoU >= 0.5 that no better label took."""
    from pipeline.evaluation.phrase_recall import gold_phrases
    from pipeline.evaluation.run_join import same_phrase

    record = pair.record
    free: dict[int, NDArray[np.float64]] = {}
    for phrase in gold_phrases(pair.sample):
        index = same_phrase(phrase.span, record.phrases)
        if index is not None:
            free[index] = phrase.xyxy
    right = [False] * len(labels)
    by_score = sorted(range(len(labels)), key=lambda n: -float(labels[n].get("confidence") or 0.0))
    for number in by_score:
        label = labels[number]
        index = int(label["phrase_index"])
        if index not in free or not len(free[index]):
            continue
        xyxy = relative_xywh_to_xyxy([label["bounding_box"]], (record.width, record.height))
        overlaps = pairwise_iou(xyxy, free[index])[0]
        best = int(np.argmax(overlaps))
        if overlaps[best] >= MIN_IOU:
            right[number] = True
            free[index] = np.delete(free[index], best, axis=0)
    return right
