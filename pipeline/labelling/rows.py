"""The row of one pair: from a teacher's answer, or from the reason why there is none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipeline.labelling.pairs import Pair
from schemas.checks import check_annotation
from schemas.errors import DataError, RecordError
from schemas.fingerprint import sha256_bytes
from schemas.grounder import Grounding
from schemas.records import Annotation, GroundedBox, PhraseStatus, Status
from schemas.redaction import shown

MAX_KEPT_CHARS = 10_000
"""Of a caption that is not used, so much is kept to be looked at."""
MAX_DETAIL_CHARS = 2_000


def answered_row(pair: Pair, answer: Grounding, teacher_id: str) -> Annotation:
    """The row of a pair that the teacher answered; one that breaks the contract is a failure."""
    try:
        row = _row_of(pair, answer, teacher_id)
        check_annotation(row, "the teacher's answer")
    except (DataError, ValueError, IndexError, TypeError) as error:
        pair.fail(RecordError(Status.TEACHER_FAILED, f"not a valid answer: {error}"))
        return failed_row(pair, teacher_id)
    return row


def failed_row(pair: Pair, teacher_id: str) -> Annotation:
    """The row of a pair without an answer."""
    if pair.failure is None:
        raise ValueError(f"record {pair.record.record_id!r} has neither an answer nor a reason")
    status, detail = pair.failure
    width, height = pair.size_wh
    return Annotation(
        record_id=_clean(pair.record.record_id),
        source=_clean(pair.record.source),
        image_uri=_clean(pair.record.image_uri or ""),
        image_sha256=pair.sha256 or (sha256_bytes(pair.data) if pair.data else ""),
        width=width,
        height=height,
        caption=_clean(pair.caption[:MAX_KEPT_CHARS]),
        status=status,
        detail=_clean(shown(detail[:MAX_DETAIL_CHARS])),
        phrases=(),
        boxes=(),
        teacher_id=teacher_id,
        caption_origin=pair.record.caption_origin,
    )


def _row_of(pair: Pair, answer: Grounding, teacher_id: str) -> Annotation:
    count = len(answer.score)
    boxes = tuple(
        GroundedBox(
            box_id=f"{pair.record.record_id}#{ordinal}",
            phrase_index=int(index),
            xyxy=(xyxy[0], xyxy[1], xyxy[2], xyxy[3]),
            score=score,
            token_score=token_score,
            centerness=centerness,
            proposed_by=proposed_by,
        )
        for ordinal, index, xyxy, score, token_score, centerness, proposed_by in zip(
            range(count),
            answer.phrase_index.tolist(),
            np.asarray(answer.xyxy, np.float32).tolist(),
            np.asarray(answer.score, np.float32).tolist(),
            np.asarray(answer.token_score, np.float32).tolist(),
            np.asarray(answer.centerness, np.float32).tolist(),
            answer.proposed_by or ("",) * count,
            strict=True,
        )
    )
    phrases = tuple(
        replace(phrase, status=status, best_score=best)
        for phrase, status, best in zip(
            pair.phrases,
            answer.phrase_status,
            np.asarray(answer.phrase_best_score, np.float32).tolist(),
            strict=True,
        )
    )
    asked = any(phrase.status is not PhraseStatus.NOT_VISUAL for phrase in phrases)
    status = Status.OK if boxes else Status.NO_BOXES if asked else Status.NO_PHRASES
    width, height = pair.size_wh
    return Annotation(
        record_id=pair.record.record_id,
        source=pair.record.source,
        image_uri=pair.record.image_uri or "",
        image_sha256=pair.sha256,
        width=width,
        height=height,
        caption=pair.caption,
        status=status,
        detail="",
        phrases=phrases,
        boxes=boxes,
        teacher_id=teacher_id,
        caption_origin=pair.record.caption_origin,
    )


def _clean(text: str) -> str:
    """Text that a table can hold: lone surrogates become question marks."""
    return text.encode("utf-8", "replace").decode()
