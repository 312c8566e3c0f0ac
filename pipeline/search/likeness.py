"""Search by likeness: the cosine of vectors that a layer of embeddings holds."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.curation.rules.candidates import flat_list
from pipeline.layers.nearest import UnitCosines, cosines_of, vector_of
from pipeline.layers.store import FOLDER, LAYER, LayerStore
from pipeline.run.columns import unit_tables
from pipeline.run.store import RunStore
from pipeline.search.words import Found, PhraseHit, read_rows
from schemas.errors import ConfigError, DataError
from schemas.plan import UnitCommit
from schemas.records import Annotation

IMAGES, REGIONS = "embeddings", "region_embeddings"


def stored_vector(run: RunStore, key: str) -> tuple[str, NDArray[np.float32]] | None:
    """The layer and the vector of a pair or a box of the run; None where there is no such id.

    Raises:
        ConfigError: the layer that would hold it is missing.
    """
    for layer in (IMAGES, REGIONS) if "#" in key else (IMAGES,):
        if run.is_local and run.has(FOLDER, layer, LAYER):
            vector = vector_of(run, layer, key)
            if vector is not None:
                return layer, vector
    record_id = key.rpartition("#")[0]
    for source in run.commits().values():
        for table in unit_tables(run, source, ("record_id",)):
            ids = table.column("record_id")
            if pc.index(ids, key).as_py() >= 0:
                return IMAGES, _vector(run, IMAGES, source.unit_id, key)
            if record_id and pc.index(ids, record_id).as_py() >= 0:
                boxes = _unit_keys(run, source, REGIONS).keys
                if pc.index(boxes, key).as_py() < 0:
                    return None
                return REGIONS, _vector(run, REGIONS, source.unit_id, key)
    return None


def _vector(run: RunStore, layer: str, unit_id: str, key: str) -> NDArray[np.float32]:
    store = LayerStore(run, layer)
    store.layer()
    commit = store.commits().get(unit_id)
    if commit is not None:
        table = store.read(commit, [store.kind.key, "vector"])
        place = pc.index(table.column(0), key).as_py()
        if place >= 0 and (vector := table.column(1)[place].as_py()) is not None:
            return np.array(vector, dtype=np.float32)
    raise ConfigError(f"layer {layer!r} of run {run.uri!r} has no vector of {key!r}")


def search_like(
    run: RunStore,
    layer: str,
    vector: NDArray[np.float32],
    *,
    files: Mapping[str, str],
    within: Collection[str] | None = None,
    min_score: float = 0.0,
    limit: int = 50,
) -> Found:
    """Pairs or boxes whose vector is nearest to one, the nearest first.

    Args:
        run: with the layer.
        layer: `embeddings` or `region_embeddings`.
        vector: [D], of length 1.
        files: local path of the annotations -> unit, see `local_files`.
        within: record ids to choose from; None: all.
        min_score: boxes need a greater score of the teacher.
        limit: at most so many.

    Raises:
        ConfigError: the layer is missing or lacks units, or holds vectors of another length.
    """
    sources = run.commits()
    allowed = None if within is None else pa.array(sorted(within), pa.string())
    best: list[tuple[float, str, str, int]] = []
    pairs = found = 0
    for unit in cosines_of(run, layer, vector):
        if layer == IMAGES:
            # A layer of pairs has the pairs of its unit: no annotations need be read to know them.
            rows = None
            if allowed is None:
                places = np.arange(len(unit.keys))
            else:
                good = pc.is_in(unit.keys, value_set=allowed)
                places = np.flatnonzero(good.to_numpy(zero_copy_only=False))
            pairs += len(places)
        else:
            known = _unit_keys(run, sources[unit.unit_id], layer, allowed, min_score)
            places, rows = _known(unit, known)
            pairs += len(np.unique(rows))
        found += len(places)
        own = unit.cosines[places]
        if len(own) > limit:
            # Ties at the cut are settled by id, as in the order itself.
            chosen = np.flatnonzero(own >= np.partition(own, -limit)[-limit])
        else:
            chosen = np.arange(len(own))
        keys = unit.keys.take(pa.array(places[chosen])).to_pylist()
        best += [
            (-float(own[n]), key, unit.unit_id, -1 if rows is None else int(rows[n]))
            for n, key in zip(chosen, keys, strict=True)
        ]
        best = sorted(best)[:limit]
    if layer == IMAGES:
        best = _with_rows(files, best)
    read = _rows(files, {(unit_id, row) for _, _, unit_id, row in best})
    hits = tuple(
        _hit(read[unit_id, row], key, layer, -cosine) for cosine, key, unit_id, row in best
    )
    return Found(pairs=pairs, phrases=found, hits=hits)


@dataclass(frozen=True, slots=True)
class _UnitKeys:
    """What may be found in a unit: ids of pairs or boxes [K], and the row of each."""

    keys: pa.Array
    rows: NDArray[np.int64]


def _unit_keys(
    run: RunStore,
    source: UnitCommit,
    layer: str,
    within: pa.Array | None = None,
    min_score: float = -1.0,
) -> _UnitKeys:
    columns = ("record_id",) if layer == IMAGES else ("record_id", "boxes.box_id", "boxes.score")
    keys: list[pa.Array] = []
    rows: list[NDArray[np.int64]] = []
    first = 0
    for table in unit_tables(run, source, columns):
        ids = table.column("record_id").combine_chunks()
        good = np.ones(len(ids), dtype=bool)
        if within is not None:
            good = pc.is_in(ids, value_set=within).to_numpy(zero_copy_only=False)
        row = np.arange(len(ids))
        if layer == REGIONS:
            offsets, boxes = flat_list(table, "boxes")
            row = np.repeat(row, np.diff(offsets))
            ids = boxes.field("box_id")
            good = good[row] & (boxes.field("score").to_numpy().astype(np.float64) > min_score)
        keys.append(ids.filter(pa.array(good)))
        rows.append(first + row[good])
        first += table.num_rows
    if not keys:
        return _UnitKeys(pa.array([], pa.string()), np.zeros(0, np.int64))
    return _UnitKeys(pa.concat_arrays(keys), np.concatenate(rows))


def _known(unit: UnitCosines, known: _UnitKeys) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which of a unit's vectors may be found, and the rows that they belong to."""
    keys = unit.keys
    if keys.equals(known.keys):
        return np.arange(len(keys)), known.rows
    places = pc.index_in(keys, value_set=known.keys)
    good = np.flatnonzero(places.is_valid().to_numpy(zero_copy_only=False))
    return good, known.rows[places.drop_null().to_numpy().astype(np.int64)]


def _with_rows(
    files: Mapping[str, str], best: Sequence[tuple[float, str, str, int]]
) -> list[tuple[float, str, str, int]]:
    """The same pairs with the number of the row of each.

    Raises:
        DataError: a pair is not in the annotations of its unit.
    """
    path_of = {unit_id: path for path, unit_id in files.items()}
    ids: dict[str, pa.Array] = {}
    for unit_id in {unit_id for _, _, unit_id, _ in best}:
        with pq.ParquetFile(path_of[unit_id]) as parquet:
            table = parquet.read(columns=["record_id"], use_threads=False)
        ids[unit_id] = table.column(0).combine_chunks()
    found = [
        (cosine, key, unit_id, pc.index(ids[unit_id], key).as_py())
        for cosine, key, unit_id, _ in best
    ]
    for _, key, unit_id, row in found:
        if row < 0:
            raise DataError(f"{path_of[unit_id]} has no pair {key!r}, of which {IMAGES!r} has rows")
    return found


def _rows(
    files: Mapping[str, str], wanted: Collection[tuple[str, int]]
) -> dict[tuple[str, int], Annotation]:
    """Rows by unit and number; a unit has one file of annotations."""
    path_of = {unit_id: path for path, unit_id in files.items()}
    unit_of = {path: unit_id for unit_id, path in path_of.items()}
    read = read_rows([(path_of[unit_id], row) for unit_id, row in sorted(wanted)])
    return {(unit_of[path], row): one for (path, row), one in read.items()}


def _hit(row: Annotation, key: str, layer: str, cosine: float) -> PhraseHit:
    if layer == IMAGES:
        ids = tuple(box.box_id for box in row.boxes)
        return PhraseHit(row=row, phrase_index=-1, score=cosine, box_ids=ids)
    box = next(box for box in row.boxes if box.box_id == key)
    return PhraseHit(row=row, phrase_index=box.phrase_index, score=cosine, box_ids=(key,))
