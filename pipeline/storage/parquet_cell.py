"""One image of a Parquet file by its row number and column."""

from __future__ import annotations

from typing import Any

from pipeline.storage.files import open_file
from schemas.errors import RecordError
from schemas.records import Status

ROWS_AT_ONCE = 8
BUFFER_BYTES = 4 * 2**20


def read_parquet_cell(url: str, row: int, column: str) -> bytes:
    """The encoded image at `row` (counted over the whole file) of `column`.

    Reads the one column of the row group that holds the row, up to the row.

    Raises:
        RecordError: IMAGE_MISSING, there is no such row or column, or the cell holds no bytes.
        MissingFile: there is no such file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with open_file(url) as stream:
        try:
            file = pq.ParquetFile(stream, pre_buffer=False, buffer_size=BUFFER_BYTES)
            first = 0
            for group in range(file.num_row_groups):
                num_rows = file.metadata.row_group(group).num_rows
                if row < first + num_rows:
                    if column not in file.schema_arrow.names:
                        raise RecordError(Status.IMAGE_MISSING, f"{url} has no column {column!r}")
                    only = {"row_groups": [group], "columns": [column]}
                    for batch in file.iter_batches(ROWS_AT_ONCE, **only, use_threads=False):
                        if row < first + batch.num_rows:
                            value = batch.column(0)[row - first].as_py()
                            return _cell_bytes(value, url, row, column)
                        first += batch.num_rows
                first += num_rows
        except (pa.ArrowException, OSError) as error:
            raise RecordError(Status.IMAGE_MISSING, f"{url} cannot be read: {error}") from error
    raise RecordError(Status.IMAGE_MISSING, f"{url} has {first} rows, there is no row {row}")


def _cell_bytes(value: Any, url: str, row: int, column: str) -> bytes:
    if isinstance(value, dict):
        value = value.get("bytes")
    if not isinstance(value, bytes):
        raise RecordError(
            Status.IMAGE_MISSING,
            f"{url} row {row}: column {column!r} holds {type(value).__name__}, not image bytes",
        )
    return value
