"""Rows as the plain values of their columns, and back. Nothing is checked here: `tables` does."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from schemas.records import (
    Annotation,
    CuratedBox,
    CuratedRecord,
    Decision,
    GroundedBox,
    Phrase,
    PhraseStatus,
    Status,
    Verdict,
    Xyxy,
)


def _phrase_dicts(phrases: Iterable[Phrase]) -> list[dict[str, Any]]:
    return [
        {
            "text": p.text,
            "start": p.start,
            "end": p.end,
            "head": p.head,
            "status": str(p.status),
            "best_score": p.best_score,
        }
        for p in phrases
    ]


def _corners(xyxy: Xyxy) -> dict[str, float]:
    return dict(zip(("x0", "y0", "x1", "y1"), xyxy, strict=True))


def _pair_dict(row: Annotation | CuratedRecord) -> dict[str, Any]:
    return {
        "record_id": row.record_id,
        "source": row.source,
        "image_uri": row.image_uri,
        "image_sha256": row.image_sha256,
        "width": row.width,
        "height": row.height,
        "caption": row.caption,
        "phrases": _phrase_dicts(row.phrases),
        "teacher_id": row.teacher_id,
        "caption_origin": row.caption_origin,
    }


def annotation_dict(row: Annotation) -> dict[str, Any]:
    """The columns of an annotation."""
    boxes = [
        {
            "box_id": b.box_id,
            "phrase_index": b.phrase_index,
            **_corners(b.xyxy),
            "score": b.score,
            "token_score": b.token_score,
            "centerness": b.centerness,
        }
        for b in row.boxes
    ]
    proposed = [b.proposed_by for b in row.boxes]
    return _pair_dict(row) | {
        "status": str(row.status),
        "detail": row.detail,
        "boxes": boxes,
        "proposed_by": proposed if any(proposed) else [],
    }


def curated_dict(row: CuratedRecord) -> dict[str, Any]:
    """The columns of a curated record."""
    boxes = [
        {
            "box_id": b.box_id,
            **_corners(b.xyxy),
            "phrase_indices": list(b.phrase_indices),
            "score": b.score,
            "origin": b.origin,
        }
        for b in row.boxes
    ]
    return _pair_dict(row) | {
        "boxes": boxes,
        "policy_id": row.policy_id,
        "decisions_id": row.decisions_id,
    }


def decision_dict(row: Decision) -> dict[str, Any]:
    """The columns of a decision."""
    return {
        "decision_id": row.decision_id,
        "record_id": row.record_id,
        "box_id": row.box_id,
        "verdict": str(row.verdict),
        "xyxy": None if row.xyxy is None else list(row.xyxy),
        "phrase_index": row.phrase_index,
        "reviewer": row.reviewer,
        "decided_at": row.decided_at,
        "reason": row.reason,
        "before_review": row.before_review,
        "before_xyxy": None if row.before_xyxy is None else list(row.before_xyxy),
        "before_phrase_index": row.before_phrase_index,
        "carried_from": row.carried_from,
        "span": None if row.span is None else list(row.span),
    }


def _phrases_from(raw: list[dict[str, Any]]) -> tuple[Phrase, ...]:
    return tuple(Phrase(**(p | {"status": PhraseStatus(p["status"])})) for p in raw)


def _pop_corners(raw: dict[str, Any]) -> Xyxy:
    return (raw.pop("x0"), raw.pop("y0"), raw.pop("x1"), raw.pop("y1"))


def annotation_from(raw: dict[str, Any]) -> Annotation:
    """The annotation of a row; its values are taken out."""
    raw["phrases"] = _phrases_from(raw["phrases"])
    proposed = raw.pop("proposed_by") or [""] * len(raw["boxes"])
    raw["boxes"] = tuple(
        GroundedBox(xyxy=_pop_corners(b), proposed_by=by, **b)
        for b, by in zip(raw["boxes"], proposed, strict=True)
    )
    raw["status"] = Status(raw["status"])
    return Annotation(**raw)


def curated_from(raw: dict[str, Any]) -> CuratedRecord:
    """The curated record of a row; its values are taken out."""
    raw["phrases"] = _phrases_from(raw["phrases"])
    raw["boxes"] = tuple(
        CuratedBox(xyxy=_pop_corners(b), phrase_indices=tuple(b.pop("phrase_indices")), **b)
        for b in raw["boxes"]
    )
    return CuratedRecord(**raw)


def decision_from(raw: dict[str, Any]) -> Decision:
    """The decision of a row; its values are taken out."""
    raw["verdict"] = Verdict(raw["verdict"])
    for name in ("xyxy", "before_xyxy", "span"):
        raw[name] = None if raw[name] is None else tuple(raw[name])
    return Decision(**raw)
