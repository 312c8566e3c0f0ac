"""Rows to a Parquet file for each part of an export, in groups."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.export.parts import Part
from pipeline.export.writer import PerPart, Target

ROWS_PER_GROUP = 1_000
BYTES_PER_GROUP = 128 << 20


class ParquetFiles:
    """A Parquet file for each part.

    Args:
        name_of: The path of a part's file below the publication; by default the export's own name.
    """

    def __init__(
        self, target: Target, schema: pa.Schema, name_of: Callable[[Part], str] | None = None
    ) -> None:
        self._target = target
        self._schema = schema
        self._name_of = name_of or (lambda part: part.of_name(target.name))
        self._files = PerPart(target.parts, self._open, _GroupedRows.close)

    def write(self, part: Part, row: Mapping[str, Any], num_bytes: int = 0) -> None:
        """Add a row; `num_bytes` is the size of what is large in it."""
        self._files.of(part).write(row, num_bytes)

    def close(self) -> None:
        """Close every file."""
        for file in self._files.all():
            file.close()

    def _open(self, part: Part) -> _GroupedRows:
        path = self._target.publication.file(self._name_of(part))
        return _GroupedRows(path, self._schema)


class _GroupedRows:
    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._schema = schema
        self._writer = pq.ParquetWriter(path, schema)
        self._rows: list[Mapping[str, Any]] = []
        self._bytes = 0

    def write(self, row: Mapping[str, Any], num_bytes: int) -> None:
        self._rows.append(row)
        self._bytes += num_bytes
        if len(self._rows) >= ROWS_PER_GROUP or self._bytes >= BYTES_PER_GROUP:
            self._flush()

    def close(self) -> None:
        if self._rows:
            self._flush()
        self._writer.close()

    def _flush(self) -> None:
        columns = [
            pa.array([row[field.name] for row in self._rows], type=field.type)
            for field in self._schema
        ]
        self._writer.write_table(pa.Table.from_arrays(columns, schema=self._schema))
        self._rows, self._bytes = [], 0
