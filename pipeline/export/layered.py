"""The curated records of a run with what its layers say about them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pipeline.curation.curate import curated_units
from pipeline.export.gold_facts import LAYER, UnitFacts
from pipeline.export.masks import UnitMasks
from pipeline.layers.store import layers_of
from pipeline.run.store import RunStore
from schemas.records import CuratedRecord


def layered_records(run: RunStore, policy_id: str, *, masks: bool) -> Iterator[CuratedRecord]:
    """The curated records of a run in plan order, with the facts of an imported run, and boxes with
    their masks where they are asked for; memory is that of one unit.

    Raises:
        ConfigError: a layer lacks units.
        DataError: the run was not curated with the policy, a file is not the one that the manifest
            names, or a row breaks the contract.
    """
    layers: list[UnitFacts | UnitMasks] = []
    if any(layer.kind.name == LAYER for layer in layers_of(run)):
        layers.append(UnitFacts(run))
    if masks:
        layers.append(UnitMasks(run))
    for unit_id, records in curated_units(run, policy_id):
        steps: list[Callable[[CuratedRecord], CuratedRecord]] = [one.of(unit_id) for one in layers]
        for record in records:
            for step in steps:
                record = step(record)
            yield record
