"""Parquet from bytes in memory, read in the thread that asks.

Arrow's threads may keep a Python stream a moment longer than the read; a process that ends in that
moment is aborted ("terminate called without an active exception"). So no Python stream and no
thread of Arrow's own takes part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq


def open_bytes(data: bytes) -> pq.ParquetFile:
    """The Parquet file that `data` is; read it with `use_threads=False`.

    Raises:
        ArrowException, OSError: it is not Parquet.
    """
    import pyarrow as pa

    return open_source(pa.BufferReader(data))


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
    """
    return open_bytes(data).read(use_threads=False)
