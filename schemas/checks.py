"""What must be true of a row: each check raises a `DataError` naming row, field and value."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from schemas.errors import DataError
from schemas.records import (
    CORPUS_CAPTION,
    MADE_CAPTION,
    Annotation,
    CuratedRecord,
    Decision,
    Status,
    Verdict,
)

CAPTION_ORIGINS = (CORPUS_CAPTION, MADE_CAPTION)
EDGE_TOLERANCE_PX = 1e-3
"""float32 rounding may put an edge this far outside the image."""


def _text(value: object, where: str, name: str, *, empty: bool = True) -> None:
    if not isinstance(value, str):
        raise DataError(f"{where}: {name} must be a string, got {value!r}")
    if not empty and not value:
        raise DataError(f"{where}: {name} must not be empty")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{where}: {name} is not valid Unicode text: {error}") from error


def _share(value: float, where: str, name: str) -> None:
    if not isinstance(value, float | int) or not 0.0 <= value <= 1.0:
        raise DataError(f"{where}: {name} must be in [0, 1], got {value!r}")


def _whole(value: object, where: str, name: str, low: int, high: int | None = None) -> None:
    fits = isinstance(value, int) and not isinstance(value, bool) and value >= low
    if not fits or (high is not None and value >= high):  # type: ignore[operator]
        allowed = f">= {low}" if high is None else f"in [{low}, {high})"
        raise DataError(f"{where}: {name} must be a whole number {allowed}, got {value!r}")


def check_xyxy(xyxy: Sequence[float], size_wh: tuple[int, int], where: str) -> None:
    """Refuse a box that is not finite, has no area, or leaves the image.

    Raises:
        DataError: naming `where`, the box and the image size.
    """
    if len(xyxy) != 4 or not all(isinstance(v, float | int) and math.isfinite(v) for v in xyxy):
        raise DataError(f"{where}: xyxy must be four finite numbers, got {xyxy!r}")
    x0, y0, x1, y1 = xyxy
    if x1 <= x0 or y1 <= y0:
        raise DataError(f"{where}: xyxy must have x1 > x0 and y1 > y0, got {xyxy!r}")
    width, height = size_wh
    edge = EDGE_TOLERANCE_PX
    if x0 < -edge or y0 < -edge or x1 > width + edge or y1 > height + edge:
        raise DataError(f"{where}: xyxy {xyxy!r} leaves the image of {width} x {height} pixels")


def _check_pair(row: Annotation | CuratedRecord, where: str) -> None:
    _text(row.record_id, where, "record_id", empty=False)
    for name in ("source", "image_uri", "image_sha256", "caption", "teacher_id"):
        _text(getattr(row, name), where, name)
    if row.caption_origin not in CAPTION_ORIGINS:
        raise DataError(
            f"{where}: caption_origin must be of {', '.join(CAPTION_ORIGINS)}, got "
            f"{row.caption_origin!r}"
        )
    _whole(row.width, where, "width", 0)
    _whole(row.height, where, "height", 0)
    for number, phrase in enumerate(row.phrases):
        at = f"{where}: phrases[{number}]"
        _text(phrase.text, at, "text", empty=False)
        _text(phrase.head, at, "head")
        _share(phrase.best_score, at, "best_score")
        _whole(phrase.start, at, "start", 0)
        _whole(phrase.end, at, "end", phrase.start + 1)
        if row.caption[phrase.start : phrase.end] != phrase.text:
            raise DataError(
                f"{at}: caption[{phrase.start}:{phrase.end}] is "
                f"{row.caption[phrase.start : phrase.end]!r}, not the text {phrase.text!r}"
            )


def _check_unique_ids(box_ids: Iterable[str], where: str) -> None:
    seen: set[str] = set()
    for box_id in box_ids:
        _text(box_id, where, "box_id", empty=False)
        if box_id in seen:
            raise DataError(f"{where}: box_id {box_id!r} occurs twice")
        seen.add(box_id)


def check_annotation(row: Annotation, where: str) -> None:
    where = f"{where} ({row.record_id!r})"
    _check_pair(row, where)
    _text(row.detail, where, "detail")
    if not isinstance(row.status, Status):
        raise DataError(f"{where}: status must be a Status, got {row.status!r}")
    if (row.status == Status.OK) != bool(row.boxes):
        raise DataError(f"{where}: status {row.status} with {len(row.boxes)} boxes")
    _check_unique_ids((b.box_id for b in row.boxes), where)
    for number, box in enumerate(row.boxes):
        at = f"{where}: boxes[{number}]"
        _whole(box.phrase_index, at, "phrase_index", 0, len(row.phrases))
        check_xyxy(box.xyxy, (row.width, row.height), at)
        _text(box.proposed_by, at, "proposed_by")
        for name in ("score", "token_score", "centerness"):
            _share(getattr(box, name), at, name)


def check_curated(row: CuratedRecord, where: str) -> None:
    where = f"{where} ({row.record_id!r})"
    _check_pair(row, where)
    _text(row.policy_id, where, "policy_id", empty=False)
    _text(row.decisions_id, where, "decisions_id")
    _check_unique_ids((b.box_id for b in row.boxes), where)
    for number, box in enumerate(row.boxes):
        at = f"{where}: boxes[{number}]"
        if not box.phrase_indices:
            raise DataError(f"{at}: phrase_indices must not be empty")
        for index in box.phrase_indices:
            _whole(index, at, "phrase_indices", 0, len(row.phrases))
        check_xyxy(box.xyxy, (row.width, row.height), at)
        _share(box.score, at, "score")
        if box.origin not in ("teacher", "human", "gold"):
            raise DataError(f"{at}: origin must be teacher, human or gold, got {box.origin!r}")


def check_decision(row: Decision, where: str) -> None:
    where = f"{where} ({row.decision_id!r})"
    for name in ("decision_id", "record_id", "reviewer", "decided_at"):
        _text(getattr(row, name), where, name, empty=False)
    for name in ("box_id", "reason", "before_review", "carried_from"):
        _text(getattr(row, name), where, name)
    if not isinstance(row.verdict, Verdict):
        raise DataError(f"{where}: verdict must be a Verdict, got {row.verdict!r}")
    if row.verdict.is_of_pair and row.box_id:
        raise DataError(
            f"{where}: verdict {row.verdict} is about the whole pair: box_id must be empty, got "
            f"{row.box_id!r}"
        )
    if not row.box_id and not row.verdict.is_of_pair and row.verdict != Verdict.OPEN:
        raise DataError(f"{where}: verdict {row.verdict} is about a box: box_id must not be empty")
    if row.verdict == Verdict.BAD and not row.reason.strip():
        raise DataError(f"{where}: verdict bad needs a reason")
    if row.verdict == Verdict.ADD and (row.xyxy is None or row.phrase_index is None):
        raise DataError(f"{where}: verdict add needs xyxy and phrase_index")
    if row.verdict == Verdict.EDIT and row.xyxy is None and row.phrase_index is None:
        raise DataError(f"{where}: verdict edit needs xyxy or phrase_index")
    if row.phrase_index is not None:
        _whole(row.phrase_index, where, "phrase_index", 0)
    if row.verdict == Verdict.PHRASE and (row.span is None or row.phrase_index is None):
        raise DataError(f"{where}: verdict phrase needs span and phrase_index")
    if row.span is not None:
        fits = len(row.span) == 2 and 0 <= row.span[0] < row.span[1]
        if not fits or row.verdict != Verdict.PHRASE:
            raise DataError(
                f"{where}: span must be [start, end) of a verdict phrase, got {row.span!r} of "
                f"{row.verdict}"
            )
    if row.xyxy is not None:
        # The image's size is not known here; the join with the annotation checks the frame.
        check_xyxy(row.xyxy, (2**31 - 1, 2**31 - 1), where)
