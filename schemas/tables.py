"""The checked border to Arrow: every row is validated by name before it becomes a column.

Arrow itself does not validate: it drops unknown keys, accepts NaN and null inside nested non-null
fields, and reads a null list back as an empty one. Here a bad value is a `DataError` that names
the row, the field and the value, on the way in and on the way out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import pyarrow as pa

from schemas.errors import DataError
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

SCHEMA_VERSION = 1
EDGE_TOLERANCE_PX = 1e-3
"""float32 rounding may put an edge this far outside the image."""


def _required(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


_BOX_FIELDS = [_required(name, pa.float32()) for name in ("x0", "y0", "x1", "y1")]
PHRASE_TYPE = pa.struct(
    [
        _required("text", pa.string()),
        _required("start", pa.int32()),
        _required("end", pa.int32()),
        _required("head", pa.string()),
        _required("status", pa.string()),
        _required("best_score", pa.float32()),
    ]
)
BOX_TYPE = pa.struct(
    [
        _required("box_id", pa.string()),
        _required("phrase_index", pa.int32()),
        *_BOX_FIELDS,
        _required("score", pa.float32()),
        _required("token_score", pa.float32()),
        _required("centerness", pa.float32()),
    ]
)
CURATED_BOX_TYPE = pa.struct(
    [
        _required("box_id", pa.string()),
        *_BOX_FIELDS,
        _required("phrase_indices", pa.list_(_required("item", pa.int32()))),
        _required("score", pa.float32()),
        _required("origin", pa.string()),
    ]
)
_PAIR_FIELDS = [
    _required("record_id", pa.string()),
    _required("source", pa.string()),
    _required("image_uri", pa.string()),
    _required("image_sha256", pa.string()),
    _required("width", pa.int32()),
    _required("height", pa.int32()),
    _required("caption", pa.string()),
]


def _schema(name: str, fields: list[pa.Field]) -> pa.Schema:
    return pa.schema(
        fields, metadata={"glipforge.schema": name, "glipforge.version": str(SCHEMA_VERSION)}
    )


ANNOTATION_SCHEMA = _schema(
    "annotation",
    [
        *_PAIR_FIELDS,
        _required("status", pa.string()),
        _required("detail", pa.string()),
        _required("phrases", pa.list_(_required("item", PHRASE_TYPE))),
        _required("boxes", pa.list_(_required("item", BOX_TYPE))),
        _required("teacher_id", pa.string()),
    ],
)
CURATED_SCHEMA = _schema(
    "curated",
    [
        *_PAIR_FIELDS,
        _required("phrases", pa.list_(_required("item", PHRASE_TYPE))),
        _required("boxes", pa.list_(_required("item", CURATED_BOX_TYPE))),
        _required("teacher_id", pa.string()),
        _required("policy_id", pa.string()),
        _required("decisions_id", pa.string()),
    ],
)
DECISION_SCHEMA = _schema(
    "decision",
    [
        _required("decision_id", pa.string()),
        _required("record_id", pa.string()),
        _required("box_id", pa.string()),
        _required("verdict", pa.string()),
        pa.field("xyxy", pa.list_(_required("item", pa.float32()), 4), nullable=True),
        pa.field("phrase_index", pa.int32(), nullable=True),
        _required("reviewer", pa.string()),
        _required("decided_at", pa.string()),
    ],
)

Row = TypeVar("Row")


def annotations_to_table(rows: Sequence[Annotation]) -> pa.Table:
    """Annotations as a table of `ANNOTATION_SCHEMA`.

    Raises:
        DataError: a row breaks the contract.
    """
    return _to_table(rows, ANNOTATION_SCHEMA, _check_annotation, _annotation_dict)


def table_to_annotations(table: pa.Table) -> list[Annotation]:
    """The annotations of a table.

    Raises:
        DataError: the schema or a row breaks the contract.
    """
    return _from_table(table, ANNOTATION_SCHEMA, _annotation_from, _check_annotation)


def curated_to_table(rows: Sequence[CuratedRecord]) -> pa.Table:
    """Curated records as a table of `CURATED_SCHEMA`.

    Raises:
        DataError: a row breaks the contract.
    """
    return _to_table(rows, CURATED_SCHEMA, _check_curated, _curated_dict)


def table_to_curated(table: pa.Table) -> list[CuratedRecord]:
    """The curated records of a table.

    Raises:
        DataError: the schema or a row breaks the contract.
    """
    return _from_table(table, CURATED_SCHEMA, _curated_from, _check_curated)


def decisions_to_table(rows: Sequence[Decision]) -> pa.Table:
    """Decisions as a table of `DECISION_SCHEMA`.

    Raises:
        DataError: a row breaks the contract.
    """
    return _to_table(rows, DECISION_SCHEMA, _check_decision, _decision_dict)


def table_to_decisions(table: pa.Table) -> list[Decision]:
    """The decisions of a table.

    Raises:
        DataError: the schema or a row breaks the contract.
    """
    return _from_table(table, DECISION_SCHEMA, _decision_from, _check_decision)


# --- both ways ---------------------------------------------------------------------------------


def _to_table(
    rows: Sequence[Row],
    schema: pa.Schema,
    check: Callable[[Row, str], None],
    as_dict: Callable[[Row], dict[str, Any]],
) -> pa.Table:
    for number, row in enumerate(rows):
        check(row, f"row {number}")
    dicts = [as_dict(row) for row in rows]
    columns = [pa.array([entry[f.name] for entry in dicts], type=f.type) for f in schema]
    return pa.Table.from_arrays(columns, schema=schema)


def _from_table(
    table: pa.Table,
    schema: pa.Schema,
    build: Callable[[dict[str, Any]], Row],
    check: Callable[[Row, str], None],
) -> list[Row]:
    _check_schema(table.schema, schema)
    rows: list[Row] = []
    for number, raw in enumerate(table.to_pylist()):
        where = f"row {number}"
        try:
            row = build(raw)
        except (TypeError, ValueError, KeyError) as error:
            raise DataError(f"{where} ({raw.get('record_id')!r}): {error}") from error
        check(row, where)
        rows.append(row)
    return rows


def _check_schema(found: pa.Schema, wanted: pa.Schema) -> None:
    metadata, expected = found.metadata or {}, wanted.metadata or {}
    for key in (b"glipforge.schema", b"glipforge.version"):
        if metadata.get(key) != expected[key]:
            raise DataError(
                f"table metadata {key.decode()} must be {expected[key].decode()!r}, "
                f"got {metadata[key].decode() if key in metadata else None!r}"
            )
    if not found.equals(wanted, check_metadata=False):
        raise DataError(f"table schema must be\n{wanted.remove_metadata()}\ngot\n{found}")


# --- dictionaries ------------------------------------------------------------------------------


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
    }


def _annotation_dict(row: Annotation) -> dict[str, Any]:
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
    return _pair_dict(row) | {"status": str(row.status), "detail": row.detail, "boxes": boxes}


def _curated_dict(row: CuratedRecord) -> dict[str, Any]:
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


def _decision_dict(row: Decision) -> dict[str, Any]:
    return {
        "decision_id": row.decision_id,
        "record_id": row.record_id,
        "box_id": row.box_id,
        "verdict": str(row.verdict),
        "xyxy": None if row.xyxy is None else list(row.xyxy),
        "phrase_index": row.phrase_index,
        "reviewer": row.reviewer,
        "decided_at": row.decided_at,
    }


def _phrases_from(raw: list[dict[str, Any]]) -> tuple[Phrase, ...]:
    return tuple(Phrase(**(p | {"status": PhraseStatus(p["status"])})) for p in raw)


def _pop_corners(raw: dict[str, Any]) -> Xyxy:
    return (raw.pop("x0"), raw.pop("y0"), raw.pop("x1"), raw.pop("y1"))


def _annotation_from(raw: dict[str, Any]) -> Annotation:
    raw["phrases"] = _phrases_from(raw["phrases"])
    raw["boxes"] = tuple(GroundedBox(xyxy=_pop_corners(b), **b) for b in raw["boxes"])
    raw["status"] = Status(raw["status"])
    return Annotation(**raw)


def _curated_from(raw: dict[str, Any]) -> CuratedRecord:
    raw["phrases"] = _phrases_from(raw["phrases"])
    raw["boxes"] = tuple(
        CuratedBox(xyxy=_pop_corners(b), phrase_indices=tuple(b.pop("phrase_indices")), **b)
        for b in raw["boxes"]
    )
    return CuratedRecord(**raw)


def _decision_from(raw: dict[str, Any]) -> Decision:
    raw["verdict"] = Verdict(raw["verdict"])
    raw["xyxy"] = None if raw["xyxy"] is None else tuple(raw["xyxy"])
    return Decision(**raw)


# --- checks ------------------------------------------------------------------------------------


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


def _check_annotation(row: Annotation, where: str) -> None:
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
        for name in ("score", "token_score", "centerness"):
            _share(getattr(box, name), at, name)


def _check_curated(row: CuratedRecord, where: str) -> None:
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


def _check_decision(row: Decision, where: str) -> None:
    where = f"{where} ({row.decision_id!r})"
    for name in ("decision_id", "record_id", "box_id", "reviewer", "decided_at"):
        _text(getattr(row, name), where, name, empty=False)
    if not isinstance(row.verdict, Verdict):
        raise DataError(f"{where}: verdict must be a Verdict, got {row.verdict!r}")
    if row.verdict == Verdict.ADD and (row.xyxy is None or row.phrase_index is None):
        raise DataError(f"{where}: verdict add needs xyxy and phrase_index")
    if row.verdict == Verdict.EDIT and row.xyxy is None and row.phrase_index is None:
        raise DataError(f"{where}: verdict edit needs xyxy or phrase_index")
    if row.phrase_index is not None:
        _whole(row.phrase_index, where, "phrase_index", 0)
    if row.xyxy is not None:
        # The image's size is not known here; the join with the annotation checks the frame.
        check_xyxy(row.xyxy, (2**31 - 1, 2**31 - 1), where)
