"""Opening Parquet files by URL, finding their image columns, and taking values as raw bytes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.corpus.field_names import CAPTIONS, IMAGE_PATHS
from pipeline.corpus.formats.parquet_footer import column_sizes
from pipeline.storage.files import open_file
from pipeline.storage.parquet_cell import byte_lists
from schemas.errors import GlipforgeError, UnitError, reason_of

BUFFER_BYTES = 4 * 2**20
MAX_INFLATED_BYTES = 512 * 2**20
MAX_INFLATION = 100
"""What is more than that may be so many times larger than in the file: images do not shrink."""
_ROWS_COMPARED = 64
_BYTES_NAMES = ("image", "jpg", "jpeg", "png", "webp", "img", "image_bytes", "bytes", "content")


MAX_VALUES = 32 * 2**20
"""Of the lists in one row, but for bytes: a few bytes of a file name a million values."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Stands for a value that Python has no form of: a year 292,000, text that is not UTF-8."""

    reason: str


@contextmanager
def open_parquet(url: str) -> Iterator[pq.ParquetFile]:
    """A Parquet file by path or URL.

    Raises:
        UnitError: it is gone, its footer cannot be read, or contradicts itself.
    """
    with open_file(url) as stream:
        try:
            # Page by page: a row group may be larger than the memory of a worker.
            file = pq.ParquetFile(stream, pre_buffer=False, buffer_size=BUFFER_BYTES)
        except GlipforgeError:
            raise
        except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
            raise UnitError(f"{url} is not a readable Parquet file: {reason_of(error)}") from error
        with file:
            metadata = file.metadata
            in_groups = sum(metadata.row_group(g).num_rows for g in range(metadata.num_row_groups))
            if in_groups != metadata.num_rows:  # a damaged list of row groups is just shorter
                raise UnitError(
                    f"{url} is not a readable Parquet file: its footer says "
                    f"{metadata.num_rows} rows, its row groups have {in_groups}"
                )
            yield file


def read_group(
    file: pq.ParquetFile, group: int, columns: Sequence[str], batch_size: int = 4096
) -> Iterator[dict[str, Any]]:
    """The rows of a row group, as many as its header says, with text as bytes.

    A value that cannot be one of Python is `Unreadable`; the rows behind it are read.

    Raises:
        ArrowException, OSError, ValueError, OverflowError: behind the last row that can be read.
    """
    left = file.metadata.row_group(group).num_rows
    names = list(columns)
    _require_no_bomb(file, group, names)
    batches = file.iter_batches(batch_size, row_groups=[group], columns=names, use_threads=False)
    for batch in batches:
        raw = [_values(batch.column(name)) for name in names]
        for values in islice(zip(*raw, strict=True), left):
            left -= 1
            yield dict(zip(names, values, strict=True))
    if left:  # columns of unequal length end without an error
        raise ValueError(f"{left} rows fewer than its header says")


def without_unreadable(row: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """The row with None for what cannot be read, and why; the reason is empty where all can be."""
    bad = {name: value.reason for name, value in row.items() if isinstance(value, Unreadable)}
    if not bad:
        return row, ""
    said = "; ".join(f"column {name!r} cannot be read: {reason}" for name, reason in bad.items())
    return row | dict.fromkeys(bad), said


def _values(column: pa.Array) -> list[Any]:
    try:
        return as_raw(column)
    except Exception as error:  # Arrow, Python and the libraries of times each raise their own
        if len(column) > 1:
            return [value for one in range(len(column)) for value in _values(column.slice(one, 1))]
        return [Unreadable(reason_of(error))]


def _require_no_bomb(file: pq.ParquetFile, group: int, names: Sequence[str]) -> None:
    if file.metadata.row_group(group).total_byte_size <= MAX_INFLATED_BYTES:
        return
    for column in column_sizes(file.metadata, group):
        if (
            column.path.partition(".")[0] in names
            and column.whole > MAX_INFLATED_BYTES
            and column.whole > MAX_INFLATION * max(column.packed, 1)
        ):
            raise ValueError(
                f"column {column.path!r} unpacks from {column.packed:,} to {column.whole:,} bytes, "
                f"which images never do; at most {MAX_INFLATION} times as many are read"
            )


def has_repeats(file: pq.ParquetFile, column: str) -> bool:
    """True where a value of a column comes twice, or that cannot be said."""
    if column not in file.schema_arrow.names:
        return True
    seen: set[int] = set()
    try:
        for group in range(file.num_row_groups):
            _require_no_bomb(file, group, [column])
            sizes = [
                one.whole
                for one in column_sizes(file.metadata, group)
                if one.path.partition(".")[0] == column.partition(".")[0]
            ]
            # Each row may name the longest value, which has as many bytes as the column at most.
            rows = max(1, min(_ROWS_COMPARED, MAX_INFLATED_BYTES // max(1, *sizes)))
            only = {"row_groups": [group], "columns": [column]}
            for batch in file.iter_batches(rows, **only, use_threads=False):
                marks = [hash(value) for value in as_raw(batch.column(0))]
                if not seen.isdisjoint(marks) or len(set(marks)) < len(marks):
                    return True
                seen.update(marks)
    except Exception:  # reading the file says what is wrong with it
        return True
    return False


def repeated_columns(schema: pa.Schema, wanted: Sequence[str | None], where: str) -> str:
    """What to say where a wanted column stands in the file `where` more than once; else empty."""
    for name in wanted:
        if name is not None and (number := schema.names.count(name)) > 1:
            return (
                f"{where} has {number} columns {name!r}, and nobody can say which is meant: "
                "write the file again with other names (a join of tables gives such files)"
            )
    return ""


def find_image_columns(schema: pa.Schema) -> list[str]:
    """Columns that may hold the image, the likeliest first."""
    kinds = {field.name: image_kind(field.type) for field in schema}
    likely = [
        *(name for name in _declared_images(schema) if kinds.get(name)),
        *(name for name in _BYTES_NAMES if kinds.get(name) in ("struct", "bytes")),
        *(name for name, kind in kinds.items() if kind == "struct"),
        *(name for name, kind in kinds.items() if kind == "bytes" and name not in CAPTIONS),
        *(name for name, kind in kinds.items() if kind == "list" and name not in CAPTIONS),
        *(name for name in IMAGE_PATHS if kinds.get(name) == "path"),
        *(name for name in (*IMAGE_PATHS, "images") if kinds.get(name) == "paths"),
    ]
    return list(dict.fromkeys(likely))


def image_kind(kind: pa.DataType) -> str | None:
    """`bytes`, `struct` (with a field `bytes`), `list` (of byte values, or of one image), `path`,
    `paths` (a list of one).

    None where it can be no image. A dictionary is only another way to store its values.
    """
    if pa.types.is_dictionary(kind):
        return image_kind(kind.value_type)
    if pa.types.is_struct(kind):
        return "struct" if kind.get_field_index("bytes") >= 0 else None
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        return "bytes"
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        inner = image_kind(kind.value_type)
        if inner == "path":
            return "paths"
        return "list" if inner in ("bytes", "struct") or kind.value_type == pa.uint8() else None
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return "path"
    return None


def class_names(schema: pa.Schema, column: str) -> tuple[str, ...]:
    """The names that Hugging Face's metadata gives to the numbers of a column."""
    found = _features(schema).get(column)
    names = found.get("names") if isinstance(found, dict) else None
    return tuple(map(str, names)) if isinstance(names, list) else ()


def as_raw(column: pa.Array) -> list[Any]:
    """Python values, with text as bytes: what is not UTF-8 must reach the check that names it."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.dictionary_decode()
        kind = column.type
    if (images := byte_lists(column)) is not None:
        return images
    if (count := _count(column)) > MAX_VALUES + len(column):
        raise ValueError(f"a list of {count:,} values; at most {MAX_VALUES:,} are read")
    raw = _raw_type(kind)
    return list((column if raw == kind else column.cast(raw)).to_pylist())


def _raw_type(kind: pa.DataType) -> pa.DataType:
    """The type with bytes for text, also inside lists and structs."""
    if pa.types.is_string(kind) or pa.types.is_string_view(kind):
        return pa.binary()
    if pa.types.is_large_string(kind):
        return pa.large_binary()
    if pa.types.is_list(kind):
        return pa.list_(_raw_type(kind.value_type))
    if pa.types.is_large_list(kind):
        return pa.large_list(_raw_type(kind.value_type))
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(_raw_type(kind.value_type), kind.list_size)
    if pa.types.is_struct(kind):
        return pa.struct([part.with_type(_raw_type(part.type)) for part in kind])
    return kind


def _count(column: pa.Array) -> int:
    """Values in the lists of a column, at any depth."""
    kind = column.type
    if pa.types.is_struct(kind):
        return max((_count(part) for part in column.flatten()), default=0)
    if pa.types.is_map(kind):
        column = column.cast(pa.list_(pa.struct([kind.key_field, kind.item_field])))
        kind = column.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        inner = column.flatten()
        return max(len(inner), _count(inner))
    return 0


def _declared_images(schema: pa.Schema) -> list[str]:
    """Columns that Hugging Face's metadata declares as images."""
    return [
        name
        for name, kind in _features(schema).items()
        if isinstance(kind, dict) and kind.get("_type") == "Image"
    ]


def _features(schema: pa.Schema) -> dict[str, Any]:
    """What Hugging Face's metadata says of the columns; empty where another tool wrote it."""
    raw = (schema.metadata or {}).get(b"huggingface")
    try:
        found = json.loads(raw or b"{}")["info"]["features"]
    except (ValueError, KeyError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}
