"""The vectors of a unit of a layer, and a copy of them that is mapped into memory and not decoded.

Decoding Parquet costs most of a search by likeness: 7 of 8 CPU seconds for a million vectors of
512 numbers. So the first search of a run on a disk writes what it decoded as an Arrow file,

    _vectors/<unit>.<first digits of the Parquet file's hash>.arrow

the same float32 numbers. It is derived: it may be deleted at any time, one of another Parquet file
is not taken and goes away, and where none can be written (a run that may only be read, a disk that
is nearly full, an object store) Parquet is read as before.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.layers.store import LayerStore
from schemas.errors import DataError, GlipforgeError
from schemas.plan import UnitCommit

FOLDER = "_vectors"
HASH_CHARS = 16
ROOM = 4
"""A copy is written where the disk has this many times its size free."""


@dataclass(frozen=True, slots=True)
class UnitVectors:
    """Rows that have a vector: `keys` (box or record ids) [N], and `vectors` [N, D]."""

    keys: pa.StringArray
    vectors: NDArray[np.float32]


def unit_vectors(store: LayerStore, commit: UnitCommit) -> UnitVectors:
    """The vectors of a unit: from its copy, which is written where there is none.

    Raises:
        DataError: the layer's file is missing or torn, or its vectors differ in length.
    """
    path = _copy_path(store, commit)
    if path is not None and (found := _mapped(path)) is not None:
        return found
    table = store.read(commit, [store.kind.key, "vector"])
    column = table.column("vector").combine_chunks()
    keys = table.column(0).combine_chunks().filter(column.is_valid())
    column = column.drop_null()
    if not len(keys):
        return UnitVectors(keys, np.zeros((0, 0), np.float32))
    lengths = pc.min_max(pc.list_value_length(column)).as_py()
    if lengths["min"] != lengths["max"]:
        raise DataError(
            f"{store.url(commit.files[0].path)} holds vectors of {lengths['min']} and of "
            f"{lengths['max']} numbers; {store.redo}"
        )
    flat = column.flatten()
    if path is not None and lengths["max"]:
        _write(store, path, commit, keys, pa.FixedSizeListArray.from_arrays(flat, lengths["max"]))
    return UnitVectors(keys, flat.to_numpy().reshape(len(keys), lengths["max"]))


def _copy_path(store: LayerStore, commit: UnitCommit) -> Path | None:
    if not store.is_local:
        return None
    (file,) = commit.files
    return Path(store.uri) / FOLDER / f"{commit.unit_id}.{file.sha256[:HASH_CHARS]}.arrow"


def _mapped(path: Path) -> UnitVectors | None:
    """None where there is no whole copy, or one that is not as `_write` makes them: a run that
    came from elsewhere may hold anything."""
    if not path.is_file():  # to open a named pipe is to wait for whoever writes to it
        return None
    try:
        with pa.memory_map(str(path)) as source:
            table = pa.ipc.open_file(source).read_all().combine_chunks()
        table.validate(full=True)  # offsets beyond the file would end the process
        keys, vectors = (table.column(name).chunk(0) for name in ("key", "vector"))
    except (OSError, pa.ArrowException, KeyError, IndexError, UnicodeDecodeError):
        return None
    kind = vectors.type
    if keys.type != pa.string() or not pa.types.is_fixed_size_list(kind):
        return None
    flat = vectors.flatten()
    if kind.value_type != pa.float32() or keys.null_count or vectors.null_count or flat.null_count:
        return None
    return UnitVectors(keys, flat.to_numpy().reshape(len(keys), kind.list_size))


def _write(
    store: LayerStore, path: Path, commit: UnitCommit, keys: pa.Array, vectors: pa.Array
) -> None:
    """A search goes on where its copy cannot be kept."""
    with contextlib.suppress(OSError, GlipforgeError):
        table = pa.table({"key": keys, "vector": vectors})
        if shutil.disk_usage(path.parents[1]).free < ROOM * table.nbytes:
            return
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        store.write(sink.getvalue().to_pybytes(), FOLDER, path.name)
        for entry in list(os.scandir(path.parent)):
            unit_id, _, ending = entry.name.removesuffix(".arrow").rpartition(".")
            if unit_id == commit.unit_id and len(ending) == HASH_CHARS and entry.name != path.name:
                os.unlink(entry.path)
