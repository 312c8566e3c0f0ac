"""One image of a Parquet file by its row number and column."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

from pipeline.storage.files import open_file
from pipeline.storage.inflation import Inflates, is_part, parquet_batches
from schemas.errors import RecordError, reason_of
from schemas.records import Status

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

ROWS_AT_ONCE = 8
BUFFER_BYTES = 4 * 2**20
ENCODED = ("/9j/", "_9j_", "iVBORw0KGgo", "R0lGOD", "UklGR", "Qk0", "SUkq", "TU0AK")
"""What JPEG (also in the alphabet of URLs), PNG, GIF, WebP, BMP and TIFF begin with in base64."""
_MIN_ENCODED = 64
_URL_ALPHABET = str.maketrans("-_", "+/")
"""Writers for the web use these two letters in place of others, and often leave the padding out."""


def is_encoded(text: str) -> bool:
    """True for text that is an image in base64, with or without `data:` before it."""
    return text.startswith("data:image/") or (
        len(text) >= _MIN_ENCODED and text.startswith(ENCODED)
    )


def image_in_cell(value: Any) -> bytes | None:
    """The image in a cell: bytes, `{bytes, path}`, a list of byte values, base64, or a list of one
    of these; None where it holds none, as a path."""
    if isinstance(value, dict):
        value = value.get("bytes")
    if isinstance(value, memoryview | bytearray):
        value = bytes(value)
    if isinstance(value, bytes) and is_encoded(head := value[:_MIN_ENCODED].decode("latin-1")):
        value = value.decode("latin-1") if head else value
    if isinstance(value, str):
        return _decoded(value) if is_encoded(value) else None
    if isinstance(value, list):
        if len(value) == 1 and not isinstance(value[0], int):
            return image_in_cell(value[0])
        try:
            return bytes(value) or None
        except (TypeError, ValueError):
            return None
    return value if isinstance(value, bytes) and value else None


def byte_lists(column: pa.Array) -> list[bytes | None] | None:
    """A column of lists of uint8 as bytes; None where it is another. Python's own list of the
    values takes eight times their memory.

    Raises:
        ValueError: one of the values is missing.
    """
    import pyarrow as pa

    kind = column.type
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    if not is_list or kind.value_type != pa.uint8():
        return None
    found: list[bytes | None] = []
    for one in column:
        values = one.values
        if values is not None and values.null_count:
            raise ValueError("one of its bytes is missing")
        found.append(None if values is None else values.to_numpy().tobytes())
    return found


def _decoded(text: str) -> bytes | None:
    if text.startswith("data:"):
        text = text.partition(",")[2]
    text = "".join(text.split()).translate(_URL_ALPHABET)
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


def read_parquet_cell(url: str, row: int, column: str) -> bytes:
    """The encoded image at `row` (counted over the whole file) of `column`.

    Reads the one column of the row group that holds the row, up to the row.

    Raises:
        RecordError: IMAGE_MISSING, there is no such row or column, or the cell holds no bytes;
            IMAGE_TOO_LARGE, far more comes out of it than an image has.
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
                    for batch in parquet_batches(
                        stream,
                        url,
                        _packed_bytes(file, group, column),
                        rows=ROWS_AT_ONCE,
                        columns=[column],
                        row_groups=[group],
                        large_values=True,
                        metadata=file.metadata,
                        pre_buffer=False,
                        buffer_size=BUFFER_BYTES,
                    ):
                        if row < first + batch.num_rows:
                            cell = batch.column(0).slice(row - first, 1)
                            value = (byte_lists(cell) or cell.to_pylist())[0]
                            return _cell_bytes(value, url, row, column)
                        first += batch.num_rows
                first += num_rows
        except Inflates as error:
            raise RecordError(Status.IMAGE_TOO_LARGE, f"row {row}: {error}") from error
        except (pa.ArrowException, OSError, ValueError) as error:
            raise RecordError(
                Status.IMAGE_MISSING, f"{url} cannot be read: {reason_of(error)}"
            ) from error
    raise RecordError(Status.IMAGE_MISSING, f"{url} has {first} rows, there is no row {row}")


def _packed_bytes(file: pq.ParquetFile, group: int, column: str) -> int:
    part = file.metadata.row_group(group)
    chunks = [part.column(place) for place in range(part.num_columns)]
    own = [one for one in chunks if is_part(one.path_in_schema, column)]
    return sum(one.total_compressed_size for one in own)


def _cell_bytes(value: Any, url: str, row: int, column: str) -> bytes:
    found = image_in_cell(value)
    if found is None:
        raise RecordError(
            Status.IMAGE_MISSING,
            f"{url} row {row}: column {column!r} holds {type(value).__name__}, not image bytes",
        )
    return found
