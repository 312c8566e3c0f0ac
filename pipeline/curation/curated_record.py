"""One pair after policy and decisions. Pure.

What a person decided outranks every rule. Each candidate is decided for itself, also one that the
policy merged onto another: dropping the better box leaves the phrase of the other at its own place.
"""

from __future__ import annotations

from pipeline.curation.box_state import PairReview, RecordDecisions
from pipeline.curation.manifest import CurateStats
from pipeline.curation.rules.filter_result import KEPT, MERGED, FilterResult
from pipeline.curation.rules.policy import FilterPolicy
from schemas.boxes import clip_xyxy
from schemas.errors import DataError
from schemas.records import Annotation, CuratedBox, CuratedRecord, Decision, Verdict, Xyxy


def curated_record(
    row: Annotation,
    result: FilterResult,
    policy: FilterPolicy,
    decided: RecordDecisions,
    stats: CurateStats,
) -> CuratedRecord | None:
    """One pair after policy and decisions; None where nothing of it is left.

    Args:
        row: the pair.
        result: what the rules of `policy` say about it.
        policy: the rules.
        decided: what people say about it.
        stats: what decisions did, and what comes out, is counted here; drops are not.

    Raises:
        DataError: a decision puts a box outside of the image.
    """
    if decided.pair.review == PairReview.BAD:
        stats.records_decided["bad"] += result.image_reason == KEPT
        return None
    boxes = _candidate_boxes(row, result, decided, stats)
    boxes += [_drawn_box(row, decision, stats) for decision in decided.added]
    if not boxes and (result.image_reason != KEPT or policy.min_boxes > 0):
        stats.records_decided["emptied"] += result.image_reason == KEPT
        return None
    stats.records_decided["restored"] += result.image_reason != KEPT
    stats.records_out += 1
    stats.boxes_out.update(box.origin for box in boxes)
    return CuratedRecord(
        record_id=row.record_id,
        source=row.source,
        image_uri=row.image_uri,
        image_sha256=row.image_sha256,
        width=row.width,
        height=row.height,
        caption=row.caption,
        phrases=row.phrases,
        boxes=tuple(boxes),
        teacher_id=row.teacher_id,
        policy_id=stats.policy_id,
        decisions_id=stats.decisions_id,
        caption_origin=row.caption_origin,
    )


def _candidate_boxes(
    row: Annotation, result: FilterResult, decided: RecordDecisions, stats: CurateStats
) -> list[CuratedBox]:
    """The teacher's boxes that stay: those the rules keep and no person took away or moved."""
    boxes: list[CuratedBox] = []
    by_person = dict(decided.by_box)
    for kept in result.boxes:
        standing = []
        for index in kept.members:
            decision = by_person.get(row.boxes[index].box_id)
            if decision is not None and decision.verdict == Verdict.KEEP:
                stats.decisions_applied["keep"] += 1
                del by_person[row.boxes[index].box_id]
            elif decision is not None:
                continue  # dropped, or stands below at its own place
            standing.append(index)
        if standing:
            best = row.boxes[standing[0]]
            phrases = dict.fromkeys(row.boxes[index].phrase_index for index in standing)
            boxes.append(
                CuratedBox(
                    box_id=best.box_id,
                    xyxy=best.xyxy,
                    phrase_indices=tuple(phrases),
                    score=kept.score if standing[0] == kept.index else best.score,
                    origin="teacher",
                )
            )
    reason_of = dict(zip((box.box_id for box in row.boxes), result.reasons, strict=True))
    for box in row.boxes:
        decision = by_person.get(box.box_id)
        if decision is None:
            continue
        stats.decisions_applied[decision.verdict.value] += 1
        if decision.verdict == Verdict.DROP:
            continue
        passed = reason_of[box.box_id] in (KEPT, MERGED) and result.image_reason == KEPT
        stats.decisions_applied["restored"] += not passed
        moved = decision.verdict == Verdict.EDIT
        phrase = box.phrase_index if decision.phrase_index is None else decision.phrase_index
        boxes.append(
            CuratedBox(
                box_id=box.box_id,
                xyxy=box.xyxy
                if decision.xyxy is None or not moved
                else _inside(row, decision, decision.xyxy, stats),
                phrase_indices=(phrase if moved else box.phrase_index,),
                score=1.0 if moved else box.score,
                origin="human" if moved else "teacher",
            )
        )
    return boxes


def _drawn_box(row: Annotation, decision: Decision, stats: CurateStats) -> CuratedBox:
    if decision.xyxy is None or decision.phrase_index is None:
        raise DataError(f"decision {decision.decision_id!r}: add needs xyxy and phrase_index")
    stats.decisions_applied["add"] += 1
    return CuratedBox(
        box_id=decision.box_id,
        xyxy=_inside(row, decision, decision.xyxy, stats),
        phrase_indices=(decision.phrase_index,),
        score=1.0,
        origin="human",
    )


def _inside(row: Annotation, decision: Decision, xyxy: Xyxy, stats: CurateStats) -> Xyxy:
    """The box as float32, clipped to the image: a hand may slip over the edge."""
    x0, y0, x1, y1 = (float(v) for v in clip_xyxy([xyxy], (row.width, row.height))[0])
    if x1 <= x0 or y1 <= y0:
        raise DataError(
            f"decision {decision.decision_id!r} about {row.record_id!r}: xyxy {xyxy!r} has no area "
            f"inside the image of {row.width} x {row.height} pixels"
        )
    stats.decisions_applied["clipped"] += (x0, y0, x1, y1) != tuple(xyxy)
    return (x0, y0, x1, y1)
