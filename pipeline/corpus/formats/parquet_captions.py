"""Which field of a Parquet file holds the captions: a column, or `column.field` of a struct."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from pipeline.corpus.field_names import CAPTIONS, listed, require_field
from pipeline.corpus.formats.parquet_columns import class_names, repeated_columns
from schemas.errors import ConfigError


def choose_caption(schema: pa.Schema, wanted: str | None, where: str) -> str:
    """The wanted field, or a usual one that may hold text.

    Raises:
        ConfigError: there is none, or the wanted one holds numbers that have no names.
    """
    likely = find_captions(schema)
    if wanted is None and likely:
        return likely[0]
    found = require_field(
        wanted,
        CAPTIONS,
        [*schema.names, *field_names(schema)],
        option="caption_field",
        where=where,
    )
    column = column_of(found, schema)
    if several := repeated_columns(schema, [column], where):
        raise ConfigError(several)
    kind = schema.field(column).type
    if pa.types.is_struct(kind) and found in schema.names and found not in likely:
        inner = ", ".join(f"{found}.{part.name}" for part in kind)
        raise ConfigError(
            f"{where}: captions in {found!r} are objects: choose a field of theirs with "
            f"caption_field: {inner}"
        )
    if pa.types.is_integer(kind) and not class_names(schema, found):
        there = listed(schema.names, quoted=False)
        raise ConfigError(
            f"{where}: {found!r} holds numbers ({kind}) that have no names in the file; "
            f"captions are text. There is: {there}: choose another with caption_field"
        )
    return found


def find_captions(schema: pa.Schema) -> list[str]:
    """Columns that may hold captions, the likeliest first: fields of structs as `column.field`."""
    usable = [field.name for field in schema if _may_be_text(field.type)]
    likely = [name for name in CAPTIONS if name in usable]
    inner = [
        f"{field.name}.{part.name}"
        for field in schema
        if pa.types.is_struct(field.type)
        for part in field.type
        if part.name in CAPTIONS or (field.name in CAPTIONS and field.type.num_fields == 1)
    ]
    return [*likely, *inner]


def column_of(field: str, schema: pa.Schema) -> str:
    """The column that a field is in: `a` of `a.b`, where no column has the whole name."""
    return field if field in schema.names else field.partition(".")[0]


def field_names(schema: pa.Schema) -> list[str]:
    """The fields of struct columns, as `column.field`."""
    return [
        f"{field.name}.{part.name}"
        for field in schema
        if pa.types.is_struct(field.type)
        for part in field.type
    ]


def named(value: Any, names: Sequence[str]) -> Any:
    """The name of a number that the file has names for; any other value as it is."""
    if names and isinstance(value, int) and 0 <= value < len(names):
        return names[value]
    return value


def _may_be_text(kind: pa.DataType) -> bool:
    """False for what holds no text at any depth: numbers, and objects in other languages."""
    if pa.types.is_dictionary(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _may_be_text(kind.value_type)
    if pa.types.is_struct(kind):
        return any(kind.get_field_index(name) >= 0 for name in ("raw", *CAPTIONS))
    return not (
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    )
