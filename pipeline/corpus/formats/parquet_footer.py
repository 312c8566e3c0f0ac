"""Sizes of the columns of a Parquet file, taken from its footer without Arrow's own accessor.

`pyarrow.parquet.RowGroupMetaData.column` ends the process (std::terminate) where the description of
a column contradicts itself, as a damaged or hostile file may have it. So the footer, which Arrow
has parsed and writes again, is read here: the compact protocol of Thrift,
https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md, with the field
numbers of https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import pyarrow.parquet as pq

_ROW_GROUPS, _COLUMNS, _META_DATA = 4, 1, 3
_PATH, _WHOLE, _PACKED = 3, 6, 7
_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 11, 12


@dataclass(frozen=True, slots=True)
class ColumnSize:
    """Of one column in one row group, in bytes."""

    path: str
    """As a schema has it, parts with dots between them."""
    packed: int
    whole: int


def column_sizes(metadata: pq.FileMetaData, group: int) -> list[ColumnSize]:
    """Sizes of the columns of a row group.

    Raises:
        ValueError: the footer does not say them.
    """
    stream = io.BytesIO()
    metadata.write_metadata_file(stream)
    try:
        footer, _ = _struct(stream.getvalue(), 4)  # behind the magic number
        chunks = footer[_ROW_GROUPS][group][_COLUMNS]
        found = [chunk[_META_DATA] for chunk in chunks]
        return [
            ColumnSize(b".".join(one[_PATH]).decode("utf-8", "replace"), one[_PACKED], one[_WHOLE])
            for one in found
        ]
    except (LookupError, TypeError, RecursionError) as error:
        raise ValueError(f"its footer does not say the sizes of its columns: {error!r}") from error


def _struct(data: bytes, at: int) -> tuple[dict[int, Any], int]:
    fields: dict[int, Any] = {}
    number = 0
    while head := data[at]:
        at += 1
        if head >> 4:
            number += head >> 4
        else:
            number, at = _signed(data, at)
        if head & 15 in (_TRUE, _FALSE):  # of a field, not of a list: it has no byte of its own
            fields[number] = head & 15 == _TRUE
        else:
            fields[number], at = _value(data, at, head & 15)
    return fields, at + 1


def _value(data: bytes, at: int, kind: int) -> tuple[Any, int]:
    if kind == _STRUCT:
        return _struct(data, at)
    if kind in (_TRUE, _FALSE, _BYTE):
        return data[at], at + 1
    if kind == _DOUBLE:
        return data[at : at + 8], at + 8
    if kind == _BINARY:
        size, at = _unsigned(data, at)
        return data[at : at + size], at + size
    if kind in (_LIST, _SET):
        size, inner, at = data[at] >> 4, data[at] & 15, at + 1
        if size == 15:
            size, at = _unsigned(data, at)
        items = []
        for _ in range(size):
            item, at = _value(data, at, inner)
            items.append(item)
        return items, at
    if kind == _MAP:
        size, at = _unsigned(data, at)
        kinds, at = (data[at], at + 1) if size else (0, at)
        for _ in range(size):
            _, at = _value(data, at, kinds >> 4)
            _, at = _value(data, at, kinds & 15)
        return None, at
    return _signed(data, at)


def _unsigned(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        shift += 7
        at += 1
        if data[at - 1] < 128:
            return value, at


def _signed(data: bytes, at: int) -> tuple[int, int]:
    value, at = _unsigned(data, at)
    return (value >> 1) ^ -(value & 1), at
