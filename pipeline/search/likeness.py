"""Search by likeness: the cosine of vectors that a layer of embeddings holds."""

from __future__ import annotations

import heapq
from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from pipeline.layers.nearest import cosines_of
from pipeline.layers.store import LayerStore
from pipeline.run.commit_protocol import ANNOTATIONS
from pipeline.run.store import RunStore
from pipeline.search.words import Found, PhraseHit
from schemas.errors import ConfigError
from schemas.records import Annotation

IMAGES, REGIONS = "embeddings", "region_embeddings"


def stored_vector(run: RunStore, key: str) -> tuple[str, NDArray[np.float32]] | None:
    """The layer and the vector of a pair or a box of the run; None where there is no such id.

    Raises:
        ConfigError: the layer that would hold it is missing.
    """
    record_id, mark, _ = key.rpartition("#")
    for source in run.commits().values():
        for file in source.files:
            if not file.path.startswith(f"{ANNOTATIONS}/"):
                continue
            for row in run.read_rows(source, file):
                if row.record_id == key:
                    return IMAGES, _vector(run, IMAGES, source.unit_id, key)
                if mark and row.record_id == record_id:
                    if key not in {box.box_id for box in row.boxes}:
                        return None
                    return REGIONS, _vector(run, REGIONS, source.unit_id, key)
    return None


def _vector(run: RunStore, layer: str, unit_id: str, key: str) -> NDArray[np.float32]:
    store = LayerStore(run, layer)
    store.layer()
    commit = store.commits().get(unit_id)
    if commit is not None:
        table = store.read(commit, [store.kind.key, "vector"])
        for own, vector in zip(
            table.column(0).to_pylist(), table.column(1).to_pylist(), strict=True
        ):
            if own == key and vector is not None:
                return np.array(vector, dtype=np.float32)
    raise ConfigError(f"layer {layer!r} of run {run.uri!r} has no vector of {key!r}")


def search_like(
    run: RunStore,
    layer: str,
    vector: NDArray[np.float32],
    *,
    within: Collection[str] | None = None,
    min_score: float = 0.0,
    limit: int = 50,
) -> Found:
    """Pairs or boxes whose vector is nearest to one, the nearest first.

    Args:
        run: with the layer.
        layer: `embeddings` or `region_embeddings`.
        vector: [D], of length 1.
        within: record ids to choose from; None: all.
        min_score: boxes need a greater score of the teacher.
        limit: at most so many.

    Raises:
        ConfigError: the layer is missing or lacks units, or holds vectors of another length.
    """
    sources = run.commits()
    best: list[tuple[float, str, str]] = []
    seen: set[str] = set()
    phrases = 0
    for unit in cosines_of(run, layer, vector):
        allowed = _allowed(run, sources[unit.unit_id], layer, within, min_score)
        for key, cosine in zip(unit.keys, unit.cosines.tolist(), strict=True):
            if key not in allowed:
                continue
            seen.add(allowed[key])
            phrases += 1
            entry = (cosine, key, unit.unit_id)
            if len(best) < limit:
                heapq.heappush(best, entry)
            elif entry > best[0]:
                heapq.heapreplace(best, entry)
    ordered = sorted(best, key=lambda entry: (-entry[0], entry[1]))
    rows = _rows(run, {entry[2] for entry in ordered})
    hits = tuple(_hit(rows[_record(key, layer)], key, layer, cosine) for cosine, key, _ in ordered)
    return Found(pairs=len(seen), phrases=phrases, hits=hits)


def _record(key: str, layer: str) -> str:
    return key.rpartition("#")[0] if layer == REGIONS else key


def _allowed(
    run: RunStore, source: object, layer: str, within: Collection[str] | None, min_score: float
) -> dict[str, str]:
    """Keys that may be found -> their pair."""
    from pipeline.run.columns import unit_tables

    found: dict[str, str] = {}
    columns = ("record_id", "boxes.box_id", "boxes.score")
    for table in unit_tables(run, source, columns):  # type: ignore[arg-type]
        for pair in table.select(["record_id", "boxes"]).to_pylist():
            record_id = pair["record_id"]
            if within is not None and record_id not in within:
                continue
            if layer == IMAGES:
                found[record_id] = record_id
            else:
                own = (box["box_id"] for box in pair["boxes"] if box["score"] > min_score)
                found |= dict.fromkeys(own, record_id)
    return found


def _rows(run: RunStore, unit_ids: Collection[str]) -> dict[str, Annotation]:
    commits = run.commits()
    return {
        row.record_id: row
        for unit_id in unit_ids
        for file in commits[unit_id].files
        if file.path.startswith(f"{ANNOTATIONS}/")
        for row in run.read_rows(commits[unit_id], file)
    }


def _hit(row: Annotation, key: str, layer: str, cosine: float) -> PhraseHit:
    if layer == IMAGES:
        ids = tuple(box.box_id for box in row.boxes)
        return PhraseHit(row=row, phrase_index=-1, score=cosine, box_ids=ids)
    box = next(box for box in row.boxes if box.box_id == key)
    return PhraseHit(row=row, phrase_index=box.phrase_index, score=cosine, box_ids=(key,))
