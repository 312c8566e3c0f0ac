"""The file of a layer's unit. Vectors lie in it as they are used, so that no search decodes them.

Decoding lists costs most of a search by likeness: 3 CPU seconds for a million vectors of 512
numbers, however they are stored. So the vectors of a group of rows are one page of plain float32
numbers, uncompressed, which is the end of its column chunk (Parquet's data page: levels, then
values); the footer says so and how long they are, in `glipforge.vector_length`. The file is Parquet
like any other: who does not know this reads its lists.
"""

from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.storage.parquet_bytes import open_source
from schemas.records import Status

COLUMN = "vector"
LEAF = "vector.list.element"
LENGTH = b"glipforge.vector_length"
ROWS_PER_GROUP = 16_384
PAGE_BYTES = 2**28
"""At most so many bytes of vectors in a group of rows."""
NUMBER_BYTES = 4

Vectors = tuple[NDArray[np.float32], ...]
"""Of the rows that have one, in their order: [n, D] for each group of rows."""


def layer_file(table: pa.Table) -> bytes:
    """Parquet of the rows of a layer's unit, whichever layer it is."""
    if COLUMN not in table.column_names:
        return _written(table, ROWS_PER_GROUP, compression="zstd")
    plain = {
        "compression": {path: "none" if path == LEAF else "zstd" for path in _leaves(table)},
        "use_dictionary": ["status", "detail"],
        "write_statistics": [table.column_names[0], "status"],
        "data_page_size": 2 * PAGE_BYTES,
    }
    vectors = _alike(table)
    if vectors is None:
        return _written(table, ROWS_PER_GROUP, **plain)
    length = vectors.shape[1]
    rows = min(ROWS_PER_GROUP, max(1, PAGE_BYTES // (NUMBER_BYTES * length)))
    said = table.replace_schema_metadata({**(table.schema.metadata or {}), LENGTH: str(length)})
    data = _written(said, rows, **plain)
    # Another version of Arrow may cut pages otherwise: what is read must be what was given.
    found = stored_vectors(pa.BufferReader(data))
    if found is not None and _same(np.concatenate(found[1]), vectors):
        return data
    return _written(table, ROWS_PER_GROUP, **plain)


def stored_vectors(source: pa.NativeFile) -> tuple[pa.StringArray, Vectors] | None:
    """Keys [N] of the rows that have a vector, and their vectors as they lie in the file; None
    where it says nothing of how they lie, or what it says cannot be: then its lists are read.

    Args:
        source: of the file; its memory is used, not copied, where it can be.

    Raises:
        ArrowException, OSError: it is not Parquet, or it is torn.
    """
    parquet = open_source(source)
    metadata = parquet.metadata
    said = (metadata.metadata or {}).get(LENGTH, b"")
    if not (said.isdigit() and 0 < int(said) <= PAGE_BYTES):
        return None
    length, parts, keys = int(said), [], []
    names = (parquet.schema_arrow.names[0], "status")
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        rows = parquet.read_row_group(number, columns=list(names), use_threads=False)
        status = rows.column("status").combine_chunks()
        has = pc.equal(status, Status.OK.value)
        count = int(pc.sum(has).as_py() or 0)
        size = NUMBER_BYTES * length * count
        chunk = _chunk(group)
        if chunk is None or chunk.num_values != length * count + len(status) - count:
            return None
        start = chunk.data_page_offset + chunk.total_compressed_size - size
        if not chunk.data_page_offset <= start <= start + size <= source.size():
            return None
        source.seek(start)
        values = np.frombuffer(source.read_buffer(size), np.float32)
        parts.append(values.reshape(count, length))
        keys += rows.column(0).filter(has).chunks
    return pa.chunked_array(keys, pa.string()).combine_chunks(), tuple(parts)


def _chunk(group: pq.RowGroupMetaData) -> pq.ColumnChunkMetaData | None:
    """The column chunk of the vectors, where its numbers are plain."""
    for number in range(group.num_columns):
        chunk = group.column(number)
        if chunk.path_in_schema == LEAF:
            plain = chunk.physical_type == "FLOAT" and chunk.compression == "UNCOMPRESSED"
            return chunk if plain and set(chunk.encodings) <= {"RLE", "PLAIN"} else None
    return None


def _alike(table: pa.Table) -> NDArray[np.float32] | None:
    """The vectors [N, D] where all that are `ok` have one, no other has, and they are as long as
    each other."""
    column = table.column(COLUMN).combine_chunks()
    has = pc.equal(table.column("status").combine_chunks(), Status.OK.value)
    if not column.is_valid().equals(has):
        return None
    column = column.drop_null()
    lengths = pc.min_max(pc.list_value_length(column)).as_py()
    if not lengths["min"] or lengths["min"] != lengths["max"]:
        return None
    flat = column.flatten()
    if flat.null_count or NUMBER_BYTES * lengths["min"] > PAGE_BYTES:
        return None
    return np.asarray(flat.to_numpy().reshape(len(column), lengths["min"]))


def _same(found: NDArray[np.float32], given: NDArray[np.float32]) -> bool:
    """Bit by bit: a vector may hold NaN."""
    return found.shape == given.shape and found.tobytes() == given.tobytes()


def _leaves(table: pa.Table) -> list[str]:
    return [LEAF if name == COLUMN else name for name in table.column_names]


def _written(table: pa.Table, rows: int, **options: object) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, row_group_size=rows, **options)
    return buffer.getvalue()
