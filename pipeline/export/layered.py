"""The curated records of a run with what its layers say about them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pipeline.curation.curate import find_curated, iter_curated_files, read_curated_file
from pipeline.export.gold_facts import LAYER, UnitFacts
from pipeline.export.masks import UnitMasks
from pipeline.layers.store import layers_of
from pipeline.run.store import RunStore
from schemas.records import CuratedRecord


def layered_records(run: RunStore, policy: str, *, masks: bool) -> Iterator[CuratedRecord]:
    """As `iter_curated`, with the facts of an imported run, and boxes with their masks where they
    are asked for; memory is that of one unit.

    Raises:
        ConfigError: the run was not curated with the policy, or a layer lacks units.
        DataError: a file is not the one that the manifest names, or a row breaks the contract.
    """
    policy_id = find_curated(run, policy)
    layers: list[UnitFacts | UnitMasks] = []
    if any(layer.kind.name == LAYER for layer in layers_of(run)):
        layers.append(UnitFacts(run))
    if masks:
        layers.append(UnitMasks(run))
    for file in iter_curated_files(run, policy_id):
        unit_id = file.name.rpartition("-")[0]
        steps: list[Callable[[CuratedRecord], CuratedRecord]] = [one.of(unit_id) for one in layers]
        for record in read_curated_file(run, policy_id, file):
            for step in steps:
                record = step(record)
            yield record
