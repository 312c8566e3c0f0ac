"""What a packed file may unpack to: gzip, and the pages and dictionaries of Parquet.

Some kilobytes can hold a value of gigabytes, or name one large value a million times. Data of ours
is packed to a tenth, at most a thirtieth; nothing is read that comes out far beyond that.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Collection, Iterator
from typing import IO, TYPE_CHECKING

from schemas.errors import DataError, reason_of

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

FREE_BYTES = 256 << 20
"""So many bytes may come out of any file."""
MOST_TIMES = 100
"""Beyond that, of its size."""
FREE_STREAM_BYTES = 16 << 30
"""So many may be unpacked and thrown away: half a minute."""
VALUE_BYTES = 8
"""Of a number, and of the place of a text."""


class Inflates(DataError):
    """A file that would unpack to far more than an honest one of its size."""


GZIP_ERRORS = (EOFError, gzip.BadGzipFile, zlib.error, Inflates)
"""What reading damaged gzip data raises, or such that inflates."""


class BoundedGzip(gzip.GzipFile):
    """What a gzip file holds, seekable, up to a limit of time: it is read through, not kept.

    Raises:
        Inflates: more comes out.
    """

    def __init__(self, raw: IO[bytes], what: str) -> None:
        size = raw.seek(0, io.SEEK_END)
        self._what, self._limit = what, max(FREE_STREAM_BYTES, MOST_TIMES * size)
        self._taken = 0
        raw.seek(0)
        super().__init__(fileobj=raw)

    def read(self, size: int | None = -1) -> bytes:
        """As of a file."""
        data = super().read(self._limit + 1 if size is None or size < 0 else size)
        self._count(len(data))
        return data

    def readline(self, size: int | None = -1) -> bytes:
        """As of a file."""
        line = super().readline(-1 if size is None else size)
        self._count(len(line))
        return line

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """As of a file."""
        if whence == io.SEEK_SET:
            offset = min(offset, self._limit + 1)
        return self._within(super().seek(offset, whence))

    def _count(self, num_bytes: int) -> None:
        self._taken += num_bytes  # what is read twice counts twice: then the place is looked at
        if self._taken > self._limit:
            self._within(super().seek(0, io.SEEK_CUR))

    def _within(self, place: int) -> int:
        if place > self._limit:
            raise Inflates(
                f"{self._what} unpacks to more than {self._limit:,} bytes: it is not read further. "
                "If it is right, unpack it with gunzip and give the plain file"
            )
        return place


def gzip_reason(error: BaseException, where: str = "") -> str:
    """What to say of one of `GZIP_ERRORS`."""
    if isinstance(error, Inflates):
        return str(error)
    return f"damaged gzip data{where}: {reason_of(error)}"


def most_unpacked(size: int) -> int:
    """Bytes that may come out of a file of `size` bytes."""
    return max(FREE_BYTES, MOST_TIMES * size)


def refusal(what: str, limit: int, advice: str = "", *, free: int = FREE_BYTES) -> Inflates:
    """The error for a file that goes beyond its limit; `free` may come out of any."""
    times = f", {MOST_TIMES} times its size" if limit > free else ""
    more = f". {advice}" if advice else ""
    return Inflates(
        f"{what} unpacks to more than {limit:,} bytes{times}: it is not read further{more}"
    )


def parquet_batches(
    source: str | IO[bytes],
    what: str,
    size: int,
    *,
    rows: int,
    columns: Collection[str] | None = None,
    row_groups: Collection[int] | None = None,
    large_values: bool = False,
    metadata: pq.FileMetaData | None = None,
    **options: object,
) -> Iterator[pa.RecordBatch]:
    """Batches of a Parquet file, as `iter_batches` gives them, within `most_unpacked(size)`.

    Text and bytes are read as the dictionaries that they are stored as, counted, and only then
    written out: a value that many rows name takes its memory once. With `large_values` (images,
    where that takes ten times as long) batches are made short instead, but for lists of several.

    Args:
        source: Path, or seekable stream.
        what: Names it in errors.
        size: Of the file in bytes.
        rows: Of a batch, at most.
        columns: Top-level columns; None: all.
        row_groups: None: all.
        large_values: As above.
        metadata: Of the file, where it is known.
        options: For `pyarrow.parquet.ParquetFile`.

    Raises:
        Inflates: more comes out.
        ArrowException, OSError: it is not Parquet, or it is torn.
    """
    import pyarrow.parquet as pq

    file = pq.ParquetFile(source, metadata=metadata, **options)
    groups = range(file.num_row_groups) if row_groups is None else row_groups
    limit = most_unpacked(size)
    texts = _texts(file, groups, columns, what, limit)
    if large_values:
        flat = {path: most for path, most in texts.items() if not _is_many(file, path, groups)}
        texts = {path: most for path, most in texts.items() if path not in flat}
        rows = max(1, min(rows, FREE_BYTES // max(sum(flat.values()), 1)))
    wanted = file.schema_arrow
    if texts:
        file = pq.ParquetFile(
            source, metadata=file.metadata, read_dictionary=sorted(texts), **options
        )
    left = limit
    chosen = None if columns is None else list(columns)
    only = {"row_groups": list(groups), "columns": chosen}
    for batch in file.iter_batches(rows, **only, use_threads=False):
        for part, num_bytes in _parts(batch):
            left -= num_bytes
            if left < 0 or num_bytes > FREE_BYTES:
                raise refusal(what, limit if left < 0 else FREE_BYTES)
            yield _plain(part, wanted) if texts else part


def least_bytes(file: pq.ParquetFile, group: int, place: int) -> int:
    """What a column of a row group takes when it is read, as far as its footer says."""
    chunk = file.metadata.row_group(group).column(place)
    width = max(VALUE_BYTES, file.schema.column(place).length or 0)
    return int(max(chunk.total_uncompressed_size, chunk.num_values * width))


def _texts(
    file: pq.ParquetFile,
    groups: Collection[int],
    columns: Collection[str] | None,
    what: str,
    limit: int,
) -> dict[str, int]:
    """Paths of the text and byte columns that may grow when they are written out, and the most
    bytes that one value may have."""
    found: dict[str, int] = {}
    total = 0
    for group in groups:
        part = file.metadata.row_group(group)
        for place in range(part.num_columns):
            chunk = part.column(place)
            path = chunk.path_in_schema
            if columns is not None and not any(is_part(path, one) for one in columns):
                continue
            total += least_bytes(file, group, place)
            if total > limit:
                raise refusal(what, limit)
            is_text = chunk.physical_type == "BYTE_ARRAY"
            if is_text and chunk.total_uncompressed_size * chunk.num_values > FREE_BYTES:
                found[path] = max(found.get(path, 0), chunk.total_uncompressed_size)
    return found


def is_part(path: str, column: str) -> bool:
    """True for the path of a leaf of a top-level column, whose own name may have dots."""
    return f"{path}.".startswith(f"{column}.")


def _is_many(file: pq.ParquetFile, path: str, groups: Collection[int]) -> bool:
    """True where a row may hold several values: lists, unless there are no more values than
    rows."""
    for place in range(len(file.schema)):
        column = file.schema.column(place)
        if column.path == path and column.max_repetition_level > 0:
            parts = [file.metadata.row_group(group) for group in groups]
            return any(part.column(place).num_values > part.num_rows for part in parts)
    return False


def _parts(batch: pa.RecordBatch) -> Iterator[tuple[pa.RecordBatch, int]]:
    """The batch, in pieces that can be written out, with the bytes of each."""
    num_bytes = sum(expanded(column) for column in batch.columns)
    if num_bytes <= FREE_BYTES or batch.num_rows < 2:
        yield batch, num_bytes
        return
    half = batch.num_rows // 2
    yield from _parts(batch.slice(0, half))
    yield from _parts(batch.slice(half))


def expanded(column: pa.Array) -> int:
    """Bytes of a column once its dictionaries are written out."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_dictionary(kind):
        values = column.dictionary
        if not _has_lengths(values.type):
            return int(column.nbytes)
        lengths = pc.cast(pc.binary_length(values), pa.int64()).take(column.indices)
        return int(pc.sum(lengths).as_py() or 0) + VALUE_BYTES * len(column)
    if pa.types.is_struct(kind):
        return sum(expanded(child) for child in column.flatten())
    if pa.types.is_map(kind):
        return expanded(column.keys) + expanded(column.items)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return expanded(column.flatten()) + VALUE_BYTES * len(column)
    return int(column.nbytes)


def _has_lengths(kind: pa.DataType) -> bool:
    import pyarrow as pa

    types = pa.types
    return bool(
        types.is_string(kind)
        or types.is_binary(kind)
        or types.is_large_string(kind)
        or types.is_large_binary(kind)
    )


def _plain(batch: pa.RecordBatch, wanted: pa.Schema) -> pa.RecordBatch:
    import pyarrow as pa

    names = batch.schema.names
    columns = [
        column.cast(wanted.field(name).type)
        for name, column in zip(names, batch.columns, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, names=names)
