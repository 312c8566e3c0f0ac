"""The checked border to Arrow: every row is validated by name before it becomes a column.

Arrow itself does not validate: it drops unknown keys, accepts NaN and null inside nested non-null
fields, and reads a null list back as an empty one. Here a bad value is a `DataError` that names
the row, the field and the value, on the way in and on the way out.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
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
    CuratedRecord,
    Decision,
)
from schemas.row_dicts import (
    annotation_dict,
    annotation_from,
    curated_dict,
    curated_from,
    decision_dict,
    decision_from,
)

Row = TypeVar("Row")


def annotations_to_table(rows: Sequence[Annotation]) -> pa.Table:
    """Annotations as a table of `ANNOTATION_SCHEMA`.

    Raises:
        DataError: a row breaks the contract.
    """
    return _to_table(rows, ANNOTATION_SCHEMA, check_annotation, annotation_dict)


def table_to_annotations(table: pa.Table) -> list[Annotation]:
    """The annotations of a table.

    Raises:
        DataError: the schema or a row breaks the contract.
    """
    return _from_table(table, ANNOTATION_SCHEMA, annotation_from, check_annotation)


def curated_to_table(rows: Sequence[CuratedRecord]) -> pa.Table:
    """Curated records as a table of `CURATED_SCHEMA`.

    Raises:
        DataError: a row breaks the contract.
    """
    return _to_table(rows, CURATED_SCHEMA, check_curated, curated_dict)


def table_to_curated(table: pa.Table) -> list[CuratedRecord]:
    """The curated records of a table.

    Raises:
        DataError: the schema or a row breaks the contract.
    """
    return _from_table(table, CURATED_SCHEMA, curated_from, check_curated)


def decisions_to_table(rows: Sequence[Decision]) -> pa.Table:
    """Decisions as a table of `DECISION_SCHEMA`.

    Raises:
        DataError: a row breaks the contract.
    """
    return _to_table(rows, DECISION_SCHEMA, check_decision, decision_dict)


def table_to_decisions(table: pa.Table) -> list[Decision]:
    """The decisions of a table.

    Raises:
        DataError: the schema or a row breaks the contract.
    """
    return _from_table(table, DECISION_SCHEMA, decision_from, check_decision)


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
