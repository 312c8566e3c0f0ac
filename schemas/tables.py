"""The checked border to Arrow: every row is validated by name before it becomes a column.

Arrow itself does not validate: it drops unknown keys, accepts NaN and null inside nested non-null
fields, and reads a null list back as an empty one. Here a bad value is a `DataError` that names
the row, the field and the value, on the way in and on the way out.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, TypeVar

import pyarrow as pa

from schemas.arrow_schemas import (
    ADDED,
    ANNOTATION_SCHEMA,
    CURATED_SCHEMA,
    DECISION_SCHEMA,
)
from schemas.checks import check_annotation, check_curated, check_decision
from schemas.errors import DataError
from schemas.records import (
    CORPUS_CAPTION,
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

Row = TypeVar("Row")


def annotations_to_table(rows: Sequence[Annotation]) -> pa.Table:
    """Annotations as a table of `ANNOTATION_SCHEMA`.

    Raises:
        DataError: a row breaks the contract.
    """
    return _to_table(rows, ANNOTATION_SCHEMA, check_annotation, _annotation_dict)


def table_to_annotations(table: pa.Table) -> list[Annotation]:
    """The annotations of a table.

    Raises:
        DataError: the schema or a row breaks the contract.
    """
    return _from_table(table, ANNOTATION_SCHEMA, _annotation_from, check_annotation)


def curated_to_table(rows: Sequence[CuratedRecord]) -> pa.Table:
    """Curated records as a table of `CURATED_SCHEMA`.

    Raises:
        DataError: a row breaks the contract.
    """
    return _to_table(rows, CURATED_SCHEMA, check_curated, _curated_dict)


def table_to_curated(table: pa.Table) -> list[CuratedRecord]:
    """The curated records of a table.

    Raises:
        DataError: the schema or a row breaks the contract.
    """
    return _from_table(table, CURATED_SCHEMA, _curated_from, check_curated)


def decisions_to_table(rows: Sequence[Decision]) -> pa.Table:
    """Decisions as a table of `DECISION_SCHEMA`.

    Raises:
        DataError: a row breaks the contract.
    """
    return _to_table(rows, DECISION_SCHEMA, check_decision, _decision_dict)


def table_to_decisions(table: pa.Table) -> list[Decision]:
    """The decisions of a table.

    Raises:
        DataError: the schema or a row breaks the contract.
    """
    return _from_table(table, DECISION_SCHEMA, _decision_from, check_decision)


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
    check_schema(table.schema, schema)
    table = with_added(table, schema)
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


def check_schema(found: pa.Schema, wanted: pa.Schema) -> None:
    """Refuse a table of another kind, version or type.

    Raises:
        DataError: naming what differs.
    """
    metadata, expected = found.metadata or {}, wanted.metadata or {}
    for key in (b"glipforge.schema", b"glipforge.version"):
        if metadata.get(key) != expected[key]:
            raise DataError(
                f"table metadata {key.decode()} must be {expected[key].decode()!r}, "
                f"got {metadata[key].decode() if key in metadata else None!r}"
            )
    added = _added(wanted)
    forms = [
        pa.schema([field for field in wanted if field not in added[number:]])
        for number in range(len(added) + 1)
    ]
    if not any(found.equals(known, check_metadata=False) for known in forms):
        raise DataError(f"table schema must be\n{wanted.remove_metadata()}\ngot\n{found}")


def with_added(
    table: pa.Table, schema: pa.Schema, columns: Collection[str] | None = None
) -> pa.Table:
    """A table of before the added columns, with them: empty, and captions the corpus' own.

    Args:
        table: of the schema, or of its first form, or some columns of these.
        schema: what it should be.
        columns: names of the columns that are wanted; None: all.
    """
    for field in _added(schema):
        if field.name in table.schema.names or not (columns is None or field.name in columns):
            continue
        empty: Any = None if field.nullable else [] if pa.types.is_list(field.type) else ""
        if field.name == "caption_origin":
            empty = CORPUS_CAPTION
        table = table.append_column(field, pa.array([empty] * len(table), type=field.type))
    return table


def _added(schema: pa.Schema) -> tuple[pa.Field, ...]:
    return ADDED.get((schema.metadata or {}).get(b"glipforge.schema", b""), ())


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
        "caption_origin": row.caption_origin,
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
    proposed = [b.proposed_by for b in row.boxes]
    return _pair_dict(row) | {
        "status": str(row.status),
        "detail": row.detail,
        "boxes": boxes,
        "proposed_by": proposed if any(proposed) else [],
    }


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


def _annotation_from(raw: dict[str, Any]) -> Annotation:
    raw["phrases"] = _phrases_from(raw["phrases"])
    proposed = raw.pop("proposed_by") or [""] * len(raw["boxes"])
    raw["boxes"] = tuple(
        GroundedBox(xyxy=_pop_corners(b), proposed_by=by, **b)
        for b, by in zip(raw["boxes"], proposed, strict=True)
    )
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
    for name in ("xyxy", "before_xyxy", "span"):
        raw[name] = None if raw[name] is None else tuple(raw[name])
    return Decision(**raw)
