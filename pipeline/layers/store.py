"""RUN/layers/<name>/: one layer of a run, with the commit protocol of the run itself.

    layer.json               what it is: written once, exclusively
    <unit>.parquet           one row for each box (or pair) of the run's unit
    _commits/<unit>.json     THE commit of a unit, created exclusively

A marker names the layer and the very files of the unit that it was made from. A unit that was
labelled again, after its data was lost, makes the layer's rows of it void: they are made again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from shlex import quote

import pyarrow as pa

from pipeline.layers.vector_file import layer_file
from pipeline.run.commit_protocol import UnitFile
from pipeline.run.commit_unit import new_attempt
from pipeline.run.committed import CommittedUnits, Recovery
from pipeline.run.store import RunStore
from pipeline.storage.errors import MissingFile
from pipeline.storage.files import create_bytes
from pipeline.storage.folders import list_folders
from pipeline.storage.parquet_bytes import open_bytes
from schemas.damage import whole
from schemas.errors import ConfigError, DataError
from schemas.fingerprint import fingerprint, require_same
from schemas.layer import KINDS, Layer, LayerKind
from schemas.plan import UnitCommit

FOLDER = "layers"
LAYER = "layer.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerRows:
    """The rows of a layer for one unit.

    table: of the kind's schema.
    statuses: status -> rows.
    examples: for each status but `ok` one `<key>: <detail>`.
    """

    table: pa.Table
    statuses: Mapping[str, int]
    examples: Mapping[str, str]


class LayerStore(CommittedUnits):
    """One layer of a run. Cheap to make; nothing is read or written before it is asked for.

    Args:
        run: The run, on a disk or an object store.
        name: One of `schemas.layer.KINDS`.

    Raises:
        ConfigError: there is no such layer.
    """

    redo = "run `glipforge enrich` on the run again: the unit is then done again"

    def __init__(self, run: RunStore, name: str) -> None:
        if name not in KINDS:
            raise ConfigError(f"layer must be one of {', '.join(KINDS)}, got {name!r}")
        super().__init__(run.url(FOLDER, name), folders=("",), within=run.uri)
        self.run = run
        self.kind: LayerKind = KINDS[name]
        self._layer_id = ""

    # --- what it is ------------------------------------------------------------------------------

    def define(self, layer: Layer) -> None:
        """Write layer.json if there is none; of any number of drivers one writes it.

        Raises:
            FingerprintMismatch: the layer is there and was made with another model or options.
        """
        if not create_bytes(self.writable(LAYER), layer.to_json().encode()):
            found = self.layer()
            remedy = f"Delete {self.uri} to make the layer anew, or give what it was made with"
            before, now = ({**one.maker, "run_plan": one.run_plan} for one in (found, layer))
            require_same(before, now, where=f"layer {self.kind.name}", remedy=remedy)
            if found != layer:
                raise DataError(f"{self.url(LAYER)} is not of this version: delete {self.uri}")
        self._layer_id = layer.layer_id

    def layer(self) -> Layer:
        """What layer.json says.

        Raises:
            ConfigError: the run has no such layer.
            DataError: the layer belongs to another run.
        """
        where = self.url(LAYER)
        try:
            text = self.read_text(LAYER)
        except MissingFile as error:
            raise ConfigError(
                f"run {self.run.uri!r} has no layer {self.kind.name!r}; `glipforge enrich "
                f"{quote(self.run.uri)} --with {MADE_BY.get(self.kind.name, self.kind.name)}` "
                "makes it"
            ) from error
        with whole(where, f"delete {self.uri} and make the layer again"):
            found = Layer.from_json(text, where=where)
        if found.run_plan != self.run.plan_id() or found.name != self.kind.name:
            raise DataError(
                f"{where} is layer {found.name!r} of the run with plan {found.run_plan}, not of "
                f"this one ({self.run.plan_id()}); it was copied here: delete {self.uri}"
            )
        return found

    def know_layer_id(self, layer_id: str) -> None:
        """Take the id from the driver: a worker need not read it."""
        self._layer_id = layer_id

    def layer_id(self) -> str:
        """Fingerprint of layer.json."""
        if not self._layer_id:
            self._layer_id = self.layer().layer_id
        return self._layer_id

    # --- commits ---------------------------------------------------------------------------------

    def check_plan(self, commit: UnitCommit, *, where: str) -> None:
        """Nothing is refused here: a marker that is out of date is taken back by `recover`."""

    def marker_plan(self, source: UnitCommit) -> str:
        """What the marker of a unit says: this layer, and the files that it was made from."""
        return fingerprint([self.layer_id(), [file.sha256 for file in source.files]])

    def commits(self) -> dict[str, UnitCommit]:
        """unit_id -> marker, of the run's committed units whose rows here are up to date."""
        sources = self.run.commits()
        found = self.read_markers(list(sources))
        return {
            unit_id: commit
            for unit_id, commit in found.items()
            if commit.plan == self.marker_plan(sources[unit_id])
        }

    def pending(self) -> list[UnitCommit]:
        """The run's committed units without rows here, in the order of the plan."""
        done = self.commits()
        return [source for unit_id, source in self.run.commits().items() if unit_id not in done]

    def require_whole(self) -> Layer:
        """What the layer was made with, where every committed unit of the run has its rows.

        Raises:
            ConfigError: the layer is missing or lacks units; says which command makes it.
        """
        found = self.layer()
        if missing := self.pending():
            raise self.lacks(missing)
        return found

    def lacks(self, missing: Sequence[UnitCommit]) -> ConfigError:
        """The error about units of the run without rows here."""
        command = "import" if self.kind.name in IMPORTED else "enrich"
        return ConfigError(
            f"layer {self.kind.name!r} of run {self.run.uri!r} lacks {len(missing):,} of "
            f"{len(self.run.commits()):,} units, the first {missing[0].unit_id!r}; the `glipforge "
            f"{command}` command that made it goes on"
        )

    def recover(self, *, verify: bool = False) -> Recovery:
        """Finish commits that a kill interrupted; take back those whose data is gone or whose unit
        was labelled again. Only the driver that holds the lock may do this."""
        current = self.commits()
        stale = [c for unit_id, c in self._commits.items() if unit_id not in current]
        lost = self.settle(list(current.values()), verify=verify)
        self.withdraw([*stale, *lost])
        return Recovery(
            num_committed=len(current) - len(lost),
            withdrawn=tuple(commit.unit_id for commit in (*stale, *lost)),
        )

    def commit(self, source: UnitCommit, rows: LayerRows, seconds: Mapping[str, float]) -> bool:
        """Make the rows of a unit part of the layer; False where another attempt was first.

        Raises:
            DataError: the rows are not of the layer's columns.
        """
        began = time.perf_counter()
        table = rows.table
        if table.schema != self.kind.schema():
            raise DataError(f"layer {self.kind.name}: its columns must be {self.kind.schema()}")
        content = UnitFile(folder="", num_rows=table.num_rows, data=layer_file(table))
        attempt = new_attempt()
        spent = dict(seconds) | {"write": time.perf_counter() - began}
        commit = UnitCommit(
            unit_id=source.unit_id,
            plan=self.marker_plan(source),
            rows_in=table.num_rows,
            rows_out=table.num_rows,
            status_counts=dict(sorted(rows.statuses.items())),
            num_boxes=table.num_rows if self.kind.key == "box_id" else 0,
            files=(content.committed_as(self.committer.path_of(content, source.unit_id, attempt)),),
            attempt=attempt,
            teacher_id=source.teacher_id,
            seconds={stage: round(value, 4) for stage, value in spent.items()},
            finished_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            examples=dict(rows.examples),
        )
        return self.committer.commit(commit, [content])

    def finalize(self) -> bool:
        """True where the layer has every unit of the run's plan; leftovers are then cleared."""
        found = self.commits()
        if len(found) != len(self.run.plan().units):
            return False
        self.committer.clean(found.values())
        return True

    # --- rows ------------------------------------------------------------------------------------

    def read(self, commit: UnitCommit, columns: list[str] | None = None) -> pa.Table:
        """The rows of one unit.

        Raises:
            DataError: the file is missing, torn or has other columns.
        """
        (file,) = commit.files
        data = self.read_committed(commit, file)
        with whole(self.url(file.path), self.redo):
            parquet = open_bytes(data)
            if parquet.schema_arrow != self.kind.schema():
                raise DataError(f"{self.url(file.path)} has other columns; {self.redo}")
            return parquet.read(columns=columns, use_threads=False)


MADE_BY = {"clip_image": "clip", "region_embeddings": "region-embeddings"}
"""What a user asks for, where that has another name than the layer."""
IMPORTED = ("gold_facts",)
"""Layers that come with an imported run."""


def layers_of(run: RunStore) -> list[LayerStore]:
    """The layers that a run has, in the order of `KINDS`."""
    there = set(list_folders(run.url(FOLDER)))
    return [LayerStore(run, name) for name in KINDS if name in there]
