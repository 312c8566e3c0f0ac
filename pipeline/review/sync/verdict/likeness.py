"""Samples in the order in which they look like a box or an image, by the vectors of a layer."""

from __future__ import annotations

from bson import ObjectId

from pipeline.layers.nearest import cosines_of, vector_of
from pipeline.review.sync.label.documents import sample_object_id
from pipeline.review.sync.store.label_store import LabelStore
from pipeline.run.store import RunStore
from schemas.errors import ConfigError

IMAGES, REGIONS = "embeddings", "region_embeddings"
Alike = list[tuple[ObjectId, float]]
"""Samples with their cosines, the likest first."""


def alike_boxes(store: LabelStore, run_uri: str, box_id: str, *, limit: int) -> Alike:
    """The samples with the boxes that look most like one of the run's.

    Raises:
        ConfigError: the layer is missing or lacks units, or has no vector of the box.
    """
    return _alike(store, run_uri, REGIONS, box_id, limit)


def alike_pairs(store: LabelStore, run_uri: str, record_id: str, *, limit: int) -> Alike:
    """The samples whose images look most like one; copies of it come first, with a cosine of 1.

    Raises:
        ConfigError: the layer is missing or lacks units, or has no vector of the image.
    """
    return _alike(store, run_uri, IMAGES, record_id, limit)


def _alike(store: LabelStore, run_uri: str, layer: str, key: str, limit: int) -> Alike:
    run = RunStore(run_uri)
    vector = vector_of(run, layer, key)
    if vector is None:
        raise ConfigError(f"layer {layer!r} of run {run_uri!r} has no vector of {key!r}")
    present = {raw["_id"] for raw in store.samples.find({}, {"_id": 1})}
    best: dict[ObjectId, float] = {}
    for unit in cosines_of(run, layer, vector):
        for own, cosine in zip(unit.keys.to_pylist(), unit.cosines.tolist(), strict=True):
            record_id = own.rpartition("#")[0] if layer == REGIONS else own
            sample_id = sample_object_id(record_id)
            if sample_id in present:
                best[sample_id] = max(cosine, best.get(sample_id, -2.0))
    ranked = sorted(best.items(), key=lambda item: (-item[1], item[0]))
    return ranked[:limit]
