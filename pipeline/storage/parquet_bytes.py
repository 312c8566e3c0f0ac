"""Parquet from bytes in memory, read in the thread that asks.

Arrow's threads may keep a Python stream a moment longer than the read; a process that ends in that
moment is aborted ("terminate called without an active exception"). So no Python stream and no
thread of Arrow's own takes part.
"""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING

from pipeline.storage.inflation import MOST_TIMES, expanded, least_bytes, refusal

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq


_FREE_BYTES = 512 << 20
"""So many bytes may come out of any file of ours: thousands of rows that each name every class of a
long list are packed two hundred times. Rows become objects, ten times as large."""
_REPEATING = frozenset({"PLAIN_DICTIONARY", "RLE_DICTIONARY", "DELTA_BYTE_ARRAY"})
"""Encodings in which many values may be one, or have one beginning."""
_ROWS_LOOKED_AT = 1024


def open_bytes(data: bytes) -> pq.ParquetFile:
    """The Parquet file that `data` is; read it with `use_threads=False`.

    Raises:
        ArrowException, OSError: it is not Parquet.
        Inflates: it would unpack to far more than a file of ours.
    """
    import pyarrow as pa

    file = open_source(pa.BufferReader(data))
    _require_bounded(file, pa.BufferReader(data), len(data))
    return file


def open_file(path: str) -> pq.ParquetFile:
    """The Parquet file at a path of this machine; likewise, and to be closed.

    Raises:
        ArrowException, OSError, Inflates: as `open_bytes`.
    """
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path)
    try:
        _require_bounded(file, path, os.path.getsize(path), path)
    except BaseException:
        file.close()
        raise
    return file


def open_source(source: pa.NativeFile) -> pq.ParquetFile:
    """The Parquet file behind an Arrow stream of a buffer or of mapped memory; likewise.

    Raises:
        ArrowException, OSError: it is not Parquet.
    """
    import pyarrow.parquet as pq

    return pq.ParquetFile(source)


def table_of(data: bytes) -> pa.Table:
    """All rows of the Parquet file that `data` is.

    Raises:
        ArrowException, OSError: it is not Parquet, or it is torn.
        Inflates: as `open_bytes`.
    """
    return open_bytes(data).read(use_threads=False)


def _require_bounded(
    file: pq.ParquetFile, source: pa.NativeFile | str, size: int, what: str = "it"
) -> None:
    """Pass where a whole Parquet file of ours comes out as an honest one does.

    Nearly all have no text that many rows name, and are not looked into.

    Args:
        file: As it is read.
        source: What it was opened from.
        size: Of the file in bytes.
        what: Names it in errors.

    Raises:
        Inflates: more comes out.
    """
    import pyarrow.parquet as pq

    limit = max(_FREE_BYTES, MOST_TIMES * size)
    most: Counter[str] = Counter()
    total = 0
    for group in range(file.num_row_groups):
        part = file.metadata.row_group(group)
        for place in range(part.num_columns):
            chunk = part.column(place)
            total += least_bytes(file, group, place)
            if total > limit:
                raise refusal(what, limit, free=_FREE_BYTES)
            if chunk.physical_type == "BYTE_ARRAY" and not _REPEATING.isdisjoint(chunk.encodings):
                most[chunk.path_in_schema] += chunk.total_uncompressed_size * chunk.num_values
    left = limit
    names: list[str] = []
    for path, num_bytes in sorted(most.items(), key=lambda item: item[1]):
        if names or num_bytes > left // 2:
            names.append(path)
        else:
            left -= num_bytes
    if not names:
        return
    read = pq.ParquetFile(source, metadata=file.metadata, read_dictionary=names)
    for batch in read.iter_batches(_ROWS_LOOKED_AT, columns=names, use_threads=False):
        left -= sum(expanded(column) for column in batch.columns)
        if left < 0:
            raise refusal(what, limit, free=_FREE_BYTES)
