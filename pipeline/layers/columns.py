"""Columns of layers by name (`clip.score`), put beside the boxes and pairs of a run's tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.layers.store import LayerStore
from pipeline.run.store import RunStore
from schemas.errors import ConfigError, DataError
from schemas.layer import KINDS, LayerKey
from schemas.plan import UnitCommit

NUMBERS = {
    f"{kind.name}.{column.name}": kind.key
    for kind in KINDS.values()
    for column in kind.columns
    if pa.types.is_floating(column.type) or pa.types.is_integer(column.type)
}
"""Every column that holds a number -> what a row of it is about."""

OF_PHRASES = ("phrases.entities", "phrases.expression_start", "phrases.expression_end")
"""Columns with a list for each pair: an entry for each of its phrases."""


def check_column(name: str) -> tuple[str, str, LayerKey]:
    """Layer, column and key of `clip.score`.

    Raises:
        ConfigError: no layer has such a column of numbers.
    """
    if name in OF_PHRASES:
        layer, _, column = name.partition(".")
        return layer, column, "record_id"
    if name not in NUMBERS:
        raise ConfigError(f"layer column must be one of {', '.join(NUMBERS)}, got {name!r}")
    layer, _, column = name.partition(".")
    return layer, column, NUMBERS[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerColumn:
    """One column of numbers over some units: `values` [M], NaN where a row has none."""

    name: str
    keys: pa.Array
    values: NDArray[np.float32]

    def at(self, keys: pa.Array) -> NDArray[np.float32]:
        """Values of these keys, in their order.

        Raises:
            DataError: a key is not in the layer.
        """
        if len(keys) == len(self.keys) and keys.equals(self.keys):
            return self.values
        places = pc.index_in(keys, value_set=self.keys)
        if places.null_count:
            absent = keys.filter(pc.is_null(places))[0].as_py()
            raise DataError(f"layer column {self.name} has no row of {absent!r}; {LayerStore.redo}")
        return np.asarray(self.values[places.to_numpy()])


def read_column(run: RunStore, name: str, commits: Iterable[UnitCommit]) -> LayerColumn:
    """A column of the layer's rows of some units of the run.

    Raises:
        ConfigError: no such column, or the run has no such layer, or not of all these units.
        DataError: a file of the layer is damaged.
    """
    layer, column, key = check_column(name)
    store = LayerStore(run, layer)
    keys: list[pa.Array] = []
    values: list[NDArray[np.float32]] = []
    for commit in _made(store, list(commits)):
        table = store.read(commit, [key, column])
        keys += table.column(key).chunks
        numbers = table.column(column).combine_chunks().cast(pa.float32())
        values.append(pc.fill_null(numbers, float("nan")).to_numpy(zero_copy_only=False))
    return LayerColumn(
        name=name,
        keys=pa.concat_arrays(keys) if keys else pa.array([], pa.string()),
        values=np.concatenate(values) if values else np.zeros(0, np.float32),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PhraseReadings:
    """The layer `phrases` over some units: lists by pair, null where a caption was not read."""

    keys: pa.Array
    entities: pa.Array
    starts: pa.Array
    ends: pa.Array

    def at(self, keys: pa.Array) -> PhraseReadings:
        """Those of these pairs, in their order.

        Raises:
            DataError: a pair is not in the layer.
        """
        if keys.equals(self.keys):
            return self
        places = pc.index_in(keys, value_set=self.keys)
        if places.null_count:
            absent = keys.filter(pc.is_null(places))[0].as_py()
            raise DataError(f"layer phrases has no row of {absent!r}; {LayerStore.redo}")
        entities, starts, ends = (a.take(places) for a in (self.entities, self.starts, self.ends))
        return PhraseReadings(keys=keys, entities=entities, starts=starts, ends=ends)


def read_phrases(run: RunStore, commits: Iterable[UnitCommit]) -> PhraseReadings:
    """The layer `phrases` of some units of the run.

    Raises:
        ConfigError: the run has no such layer, or not of all these units.
        DataError: a file of the layer is damaged.
    """
    columns = ["record_id", *(name.partition(".")[2] for name in OF_PHRASES)]
    store = LayerStore(run, "phrases")
    tables = [store.read(commit, columns) for commit in _made(store, list(commits))]
    whole = pa.concat_tables(tables) if tables else store.kind.schema().empty_table()
    keys, entities, starts, ends = (whole.column(c).combine_chunks() for c in columns)
    return PhraseReadings(keys=keys, entities=entities, starts=starts, ends=ends)


def _made(store: LayerStore, wanted: Sequence[UnitCommit]) -> list[UnitCommit]:
    """The layer's commits of these units of the run."""
    found = store.read_markers([commit.unit_id for commit in wanted])
    made, missing = [], []
    for source in wanted:
        commit = found.get(source.unit_id)
        if commit is None or commit.plan != store.marker_plan(source):
            missing.append(source)
        else:
            made.append(commit)
    if missing:
        store.layer()  # which says it where the whole layer is not there
        raise store.lacks(missing)
    return made


def require_columns(run: RunStore, names: Sequence[str]) -> str:
    """Refuse, before anything is done, what a run's layers do not have; returns their fingerprint.

    Raises:
        ConfigError: as `read_column`, for any unit of the run.
    """
    ids = []
    for layer in dict.fromkeys(check_column(name)[0] for name in names):
        ids.append([layer, LayerStore(run, layer).require_whole().layer_id])
    return " ".join(f"{layer}@{layer_id}" for layer, layer_id in ids)
