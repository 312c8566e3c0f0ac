"""A run without its bad images: the pairs that are of use, as a run of their own.

The old run stays as it is. Rows, decisions of people and layers come along; calibrations do not:
they say something about all pairs of the old run.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.curation.box_state import PairReview, pair_history
from pipeline.curation.decisions import append_decisions, decisions_by_record, load_decisions
from pipeline.layers.store import LayerRows, LayerStore, layers_of
from pipeline.run.commit_unit import commit_unit
from pipeline.run.info import read_run_info, write_run_info
from pipeline.run.relocation import copy_relocations
from pipeline.run.store import RunStore
from schemas.errors import ConfigError, DataError
from schemas.fingerprint import fingerprint
from schemas.plan import Plan, UnitCommit
from schemas.records import Annotation, Decision

BAD = "called bad by people"
LEAKED = "image is in a test set (glipforge leakage)"
LISTED = "in the list of --without"


@dataclass(frozen=True, kw_only=True)
class PruneOptions:
    """Which pairs are left out."""

    keep_failed: bool = False
    """Keep the rows of images that are missing, corrupt or too large, and of captions that are."""
    leaked: Collection[str] = ()
    """Record ids whose image is in a test set."""
    without: Collection[str] = ()
    """Further record ids."""


@dataclass(kw_only=True)
class PruneSummary:
    """What a prune did."""

    kept: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    """Reason -> pairs."""
    decisions: int = 0
    layers: list[str] = field(default_factory=list)
    """Layers that came along."""


def prune(
    old: RunStore,
    new: RunStore,
    options: PruneOptions,
    *,
    progress: Callable[[int], object] = lambda done: None,
) -> PruneSummary:
    """Write the pairs of `old` that are kept as the complete run `new`; done again it goes on.

    Raises:
        ConfigError: `old` is not complete, or `new` is the same place.
        DataError: nothing would be left.
        FingerprintMismatch: `new` holds something else.
    """
    if new.uri.rstrip("/") == old.uri.rstrip("/"):
        raise ConfigError(f"out must be another place than the run, got {new.uri!r} twice")
    if not old.is_complete():
        raise ConfigError(
            f"{old.uri} is not complete: pairs that come later would be missing. `glipforge status "
            f"{old.uri}` tells how far it is"
        )
    summary = PruneSummary()
    decided = decisions_by_record(load_decisions(old))
    commits = old.commits()
    kept: dict[str, int] = {}
    for unit_id, commit in commits.items():
        rows = _kept(old, commit, options, decided, summary.left_out)
        if rows:
            kept[unit_id] = len(rows)
    if not kept:
        raise DataError(f"{old.uri}: nothing would be left: {dict(summary.left_out)}")
    new.write_plan(_plan(old, options, decided, kept))
    done = new.commits()
    own: list[Decision] = []
    for unit in new.plan().units:
        commit, began = commits[unit.unit_id], time.perf_counter()
        rows = _kept(old, commit, options, decided, Counter())
        own += [one for row in rows for one in decided.get(row.record_id, ())]
        if unit.unit_id not in done:
            commit_unit(
                new,
                unit,
                rows,
                rows_in=len(rows),
                teacher_id=commit.teacher_id,
                seconds={"read": time.perf_counter() - began},
            )
        summary.kept += len(rows)
        progress(summary.kept)
    append_decisions(new, own)
    summary.decisions = len(own)
    for layer in layers_of(old):
        _copy_layer(layer, new)
        summary.layers.append(layer.kind.name)
    copy_relocations(old, new)
    write_run_info(new, replace(read_run_info(old), plan=new.plan_id()))
    new.finalize()
    return summary


def _plan(
    old: RunStore,
    options: PruneOptions,
    decided: Mapping[str, list[Decision]],
    kept: Mapping[str, int],
) -> Plan:
    plan = old.plan()
    rules = {
        "run": old.plan_id(),
        "annotations": old.annotations_id(),
        "bad": fingerprint(sorted(name for name, words in decided.items() if _is_bad(words))),
        "keep_failed": options.keep_failed,
        "leaked": fingerprint(sorted(options.leaked)),
        "without": fingerprint(sorted(options.without)),
    }
    units = tuple(
        replace(unit, num_records=kept[unit.unit_id]) for unit in plan.units if unit.unit_id in kept
    )
    return replace(plan, units=units, config={**plan.config, "pruned": rules})


def _kept(
    run: RunStore,
    commit: UnitCommit,
    options: PruneOptions,
    decided: Mapping[str, list[Decision]],
    left_out: Counter[str],
) -> list[Annotation]:
    kept = []
    for file in commit.files:
        for row in run.read_rows(commit, file):
            reason = ""
            if row.status.is_quarantined and not options.keep_failed:
                reason = str(row.status)
            elif row.record_id in options.without:
                reason = LISTED
            elif row.record_id in options.leaked:
                reason = LEAKED
            elif _is_bad(decided.get(row.record_id, [])):
                reason = BAD
            if reason:
                left_out[reason] += 1
            else:
                kept.append(row)
    return kept


def _is_bad(words: list[Decision]) -> bool:
    return pair_history(words).current().review == PairReview.BAD


def _copy_layer(layer: LayerStore, run: RunStore) -> None:
    """A row of a layer is about one pair or box: those of the pairs that are kept."""
    copy = LayerStore(run, layer.kind.name)
    copy.define(replace(layer.layer(), run_plan=run.plan_id()))
    made = layer.commits()
    for source in copy.pending():
        before = made.get(source.unit_id)
        if before is None:
            continue  # it was not complete: `glipforge enrich` goes on
        table = layer.read(before)
        rows = [row for file in source.files for row in run.read_rows(source, file)]
        keys = [row.record_id for row in rows]
        if layer.kind.key == "box_id":
            keys = [box.box_id for row in rows for box in row.boxes]
        own = pc.is_in(table.column(layer.kind.key), value_set=pa.array(keys, pa.string()))
        table = table.filter(own)
        statuses = Counter(table.column("status").to_pylist())
        copy.commit(source, LayerRows(table=table, statuses=statuses, examples={}), {})
    copy.finalize()
