"""The vectors of a unit of a layer: mapped into memory where its file lies on a disk and holds them
plainly (`vector_file`), else decoded."""

from __future__ import annotations

import contextlib
import os
import stat
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.layers.store import LayerStore
from pipeline.layers.vector_file import Vectors, stored_vectors
from schemas.damage import whole
from schemas.errors import DataError
from schemas.plan import UnitCommit


@dataclass(frozen=True, slots=True)
class UnitVectors:
    """Rows that have a vector: `keys` (box or record ids) [N], and `parts`, their vectors in that
    order, [n, D] each."""

    keys: pa.StringArray
    parts: Vectors

    def lengths(self) -> set[int]:
        """D of every part."""
        return {part.shape[1] for part in self.parts if len(part)}

    def row(self, place: int) -> NDArray[np.float32]:
        """One vector, [D]."""
        for part in self.parts:
            if place < len(part):
                return np.array(part[place])
            place -= len(part)
        raise IndexError(place)


def unit_vectors(store: LayerStore, commit: UnitCommit) -> UnitVectors:
    """The vectors of a unit.

    A file on a disk is not read whole, so its size is compared and its hash is not, as for SQL;
    `glipforge enrich --verify` compares hashes.

    Raises:
        DataError: the layer's file is missing or torn, or its vectors differ in length.
    """
    (file,) = commit.files
    where = store.url(file.path)
    found = None
    with whole(where, store.redo):
        if store.is_local:
            with contextlib.suppress(FileNotFoundError):
                on_disk = os.stat(where)
                if stat.S_ISREG(on_disk.st_mode) and on_disk.st_size == file.size > 0:
                    found = stored_vectors(pa.memory_map(where))
        else:
            found = stored_vectors(pa.BufferReader(store.read_committed(commit, file)))
    if found is not None:
        return UnitVectors(*found)
    table = store.read(commit, [store.kind.key, "vector"])
    column = table.column("vector").combine_chunks()
    keys = table.column(0).combine_chunks().filter(column.is_valid())
    column = column.drop_null()
    if not len(keys):
        return UnitVectors(keys, ())
    lengths = pc.min_max(pc.list_value_length(column)).as_py()
    if lengths["min"] != lengths["max"]:
        raise DataError(
            f"{where} holds vectors of {lengths['min']} and of {lengths['max']} numbers; "
            f"{store.redo}"
        )
    flat = column.flatten()
    if flat.null_count:
        raise DataError(f"{where} holds vectors with missing numbers; {store.redo}")
    return UnitVectors(keys, (flat.to_numpy().reshape(len(keys), lengths["max"]),))
