"""Cosines of all vectors of a layer with one: what searches by likeness and review sort by."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.layers.store import LayerStore
from pipeline.layers.unit_vectors import unit_vectors
from pipeline.run.store import RunStore
from schemas.errors import ConfigError
from schemas.plan import UnitCommit

MAX_THREADS = 8
BLOCK = 2**17
"""Numbers that are multiplied at a time."""


@dataclass(frozen=True, slots=True)
class UnitCosines:
    """The vectors of one unit: `keys` (box or record ids) and `cosines`, [N] each."""

    unit_id: str
    keys: pa.StringArray
    cosines: NDArray[np.float32]


def cosines_of(run: RunStore, layer: str, vector: NDArray[np.float32]) -> Iterator[UnitCosines]:
    """Unit by unit, the cosine of each stored vector with one; rows without a vector, or with
    one that is not finite, are left out.

    Args:
        run: with the layer.
        layer: `embeddings` or `region_embeddings`.
        vector: [D], of length 1.

    Raises:
        ConfigError: the layer is missing or lacks units, or holds vectors of another length.
    """
    store = LayerStore(run, layer)
    store.require_whole()
    commits = store.commits()
    with ThreadPoolExecutor(min(len(os.sched_getaffinity(0)), MAX_THREADS)) as pool:
        units = pool.map(
            lambda unit_id: _unit_cosines(store, commits[unit_id], vector), run.commits()
        )
        yield from (unit for unit in units if len(unit.keys))


def _unit_cosines(
    store: LayerStore, commit: UnitCommit, vector: NDArray[np.float32]
) -> UnitCosines:
    found = unit_vectors(store, commit)
    if not len(found.keys):
        return UnitCosines(commit.unit_id, found.keys, np.zeros(0, np.float32))
    if other := found.lengths() - {len(vector)}:
        raise ConfigError(
            f"layer {store.kind.name!r} holds vectors of {min(other)} numbers, the model gives "
            f"{len(vector)}: give the model that made the layer"
        )
    cosines = np.concatenate([_products(part, vector) for part in found.parts])
    good = np.isfinite(cosines)  # a model in half precision may have overflowed
    keys = found.keys if good.all() else found.keys.filter(pa.array(good))
    return UnitCosines(commit.unit_id, keys, cosines[good])


def _products(vectors: NDArray[np.float32], vector: NDArray[np.float32]) -> NDArray[np.float32]:
    """[N], each of `vectors` [N, D] times one. By blocks that fit a cache and that BLAS does not
    cut for threads of its own: mapped numbers may lie at odd addresses, and are copied first."""
    count = max(1, BLOCK // len(vector))
    block = np.empty((min(count, len(vectors)), len(vector)), np.float32)
    found = np.empty(len(vectors), np.float32)
    for first in range(0, len(vectors), count):
        own = vectors[first : first + count]
        block[: len(own)] = own
        np.dot(block[: len(own)], vector, out=found[first : first + count])
    return found


def vector_of(run: RunStore, layer: str, key: str) -> NDArray[np.float32] | None:
    """The vector of a box or a pair, [D]; None where the layer has none of it.

    Raises:
        ConfigError: the layer is missing.
    """
    store = LayerStore(run, layer)
    store.layer()
    for commit in store.commits().values():
        found = unit_vectors(store, commit)
        place = pc.index(found.keys, key).as_py()
        if place >= 0:
            return found.row(place)
    return None
