"""Columns of layers beside the candidates of some units, as the rules of policies read them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from pipeline.curation.rules.candidates import Candidates, Ints, flat_list
from pipeline.curation.rules.policy import FilterPolicy
from pipeline.layers.columns import (
    NUMBERS,
    OF_PHRASES,
    LayerColumn,
    PhraseReadings,
    read_column,
    read_phrases,
)
from pipeline.layers.store import LayerStore
from pipeline.run.store import RunStore
from schemas.errors import DataError
from schemas.plan import UnitCommit

COLUMNS = ("record_id", "boxes.box_id")
"""What `LayerScores.beside` needs of a table of annotations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerScores:
    """The columns that some policies read, of some units."""

    columns: Mapping[str, LayerColumn]
    readings: PhraseReadings | None = None
    """The layer `phrases`, where a policy reads it."""

    def beside(self, found: Candidates, table: pa.Table) -> Candidates:
        """The candidates of the table with the values of every column.

        Raises:
            DataError: a box or a pair is not in a layer.
        """
        if self.readings is not None:
            pairs = table.column("record_id").combine_chunks()
            entities = _flat_entities(self.readings.at(pairs), found.phrases.offsets)
            found = replace(found, phrases=replace(found.phrases, entities=entities))
        if not self.columns:
            return found
        boxes = flat_list(table, "boxes")[1].field("box_id")
        pairs = table.column("record_id").combine_chunks()
        values = {
            name: column.at(boxes if NUMBERS[name] == "box_id" else pairs)
            for name, column in self.columns.items()
        }
        return replace(found, layers=values)


def load_layer_scores(
    run: RunStore,
    policies: Sequence[FilterPolicy],
    commits: Iterable[UnitCommit],
    *,
    also: Sequence[str] = (),
) -> LayerScores:
    """What the policies read of the layers of some units, and the columns `also`; nothing is read
    where they read none.

    Raises:
        ConfigError: a layer is missing, or lacks one of the units.
    """
    names = dict.fromkeys(name for policy in policies for name in policy.layer_columns())
    names |= dict.fromkeys(also)
    wanted = list(commits)
    return LayerScores(
        columns={name: read_column(run, name, wanted) for name in names if name not in OF_PHRASES},
        readings=read_phrases(run, wanted) if not names.keys().isdisjoint(OF_PHRASES) else None,
    )


def _flat_entities(readings: PhraseReadings, offsets: Ints) -> pa.Array:
    """The class of every phrase, [P]; of captions that were not read none."""
    lists = readings.entities
    if lists.null_count:
        rows = zip(lists.to_pylist(), np.diff(offsets).tolist(), strict=True)
        lists = pa.array([own or [""] * number for own, number in rows], lists.type)
    flat = lists.flatten()
    if len(flat) != offsets[-1]:
        raise DataError(
            f"layer phrases has {len(flat)} entries for {offsets[-1]} phrases; {LayerStore.redo}"
        )
    return flat


def scored(found: Candidates, policy: FilterPolicy) -> Candidates:
    """The candidates with the region and image scores that a policy asks for."""
    if not policy.region_scores or found.region_scores is not None:
        return found
    column = policy.region_scores.partition(".")[2] or "score"
    regions = found.layers.get(f"clip.{column}")
    images = found.layers.get(f"clip_image.{column}")
    if regions is None:
        return found
    # A box without a value scores nothing: it goes as one that is not above the threshold.
    return replace(
        found,
        region_scores=np.clip(np.nan_to_num(regions), 0, 1),
        image_scores=None
        if images is None
        else np.clip(np.nan_to_num(images.astype(np.float64)), 0, 1),
    )
