"""Which images of a run are there more than once: the same pixels, or nearly the same look."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pipeline.layers.store import LayerStore
from pipeline.run.columns import unit_tables
from pipeline.run.store import RunStore
from pipeline.trust.near_images import NearIndex, as_words


def duplicate_groups(run: RunStore, max_distance: int) -> list[tuple[str, ...]]:
    """Pairs of different images that show the same, by the layer `duplicates`.

    Several captions of one file are not duplicates: a group has at least two addresses. What is
    near to something near is in its group.

    Args:
        run: with the layer, in whole.
        max_distance: bits of 128 in which the perceptual hashes of two may differ.

    Returns:
        Groups of record ids, the largest first; those of one image stand together.

    Raises:
        ConfigError: the layer is missing or lacks units, or `max_distance` is out of range.
    """
    layer = LayerStore(run, "duplicates")
    layer.require_whole()
    images: dict[str, list[str]] = {}
    looks: dict[str, tuple[str, str]] = {}
    commits = layer.commits()
    for unit_id, source in run.commits().items():
        columns = ["record_id", "pixels_sha256", "dhash"]
        rows = layer.read(commits[unit_id], columns).to_pylist()
        look_of = {row["record_id"]: (row["pixels_sha256"], row["dhash"]) for row in rows}
        for table in unit_tables(run, source, ("record_id", "image_uri")):
            for pair in table.to_pylist():
                pixels, dhash = look_of[pair["record_id"]]
                if pixels and dhash:
                    images.setdefault(pair["image_uri"], []).append(pair["record_id"])
                    looks[pair["image_uri"]] = (pixels, dhash)
    uris = list(images)
    index = NearIndex(as_words([looks[uri][1] for uri in uris]), max_distance)
    first: dict[str, int] = {}
    same = [(first.setdefault(looks[uri][0], place), place) for place, uri in enumerate(uris)]
    links = np.concatenate([index.pairs(), np.array(same, np.int64).reshape(-1, 2)])
    graph = coo_array((np.ones(len(links), bool), links.T), shape=(len(uris), len(uris)))
    groups: dict[int, list[str]] = {}
    for uri, group in zip(uris, connected_components(graph, directed=False)[1], strict=True):
        groups.setdefault(int(group), []).append(uri)
    found = sorted((uris for uris in groups.values() if len(uris) > 1), key=len, reverse=True)
    return [tuple(record for uri in uris for record in images[uri]) for uris in found]
