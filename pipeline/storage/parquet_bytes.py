"""Parquet from bytes in memory, read in the thread that asks.

Arrow's threads may keep a Python stream a moment longer than the read; a process that ends in that
moment is aborted ("terminate called without an active exception"). So no Python stream and no
thread of Arrow's own takes part.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pipeline.storage.inflation import require_bounded

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq


def open_bytes(data: bytes) -> pq.ParquetFile:
    """The Parquet file that `data` is; read it with `use_threads=False`.

    Raises:
        ArrowException, OSError: it is not Parquet.
        Inflates: it would unpack to far more than a file of ours.
    """
    import pyarrow as pa

    file = open_source(pa.BufferReader(data))
    require_bounded(file, pa.BufferReader(data), len(data))
    return file


def open_file(path: str) -> pq.ParquetFile:
    """The Parquet file at a path of this machine; likewise, and to be closed.

    Raises:
        ArrowException, OSError, Inflates: as `open_bytes`.
    """
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path)
    try:
        require_bounded(file, path, os.path.getsize(path), path)
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
