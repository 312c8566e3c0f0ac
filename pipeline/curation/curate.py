"""Annotations + policy + decisions = curated records: derived, streaming, the same every time."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.curation import candidates, curated_table, label_stats
from pipeline.curation.curated_record import curated_record
from pipeline.curation.decisions import (
    decisions_by_record,
    decisions_id,
    load_decisions,
    resolve_record,
)
from pipeline.curation.filters import filter_candidates
from pipeline.curation.label_stats import LabelStats
from pipeline.curation.manifest import CurateStats, empty_stats
from pipeline.curation.policy import FilterPolicy
from pipeline.run.columns import unit_tables
from pipeline.run.map_units import Mapper, map_run, num_workers
from pipeline.run.open import annotations_id
from pipeline.run.store import RunStore
from pipeline.storage.files import exists, read_bytes, write_bytes
from pipeline.storage.folders import list_folders, remove_other_files
from schemas.arrow_schemas import CURATED_SCHEMA
from schemas.errors import ConfigError, DataError
from schemas.fingerprint import sha256_bytes
from schemas.plan import UnitCommit
from schemas.records import CuratedRecord, Decision
from schemas.tables import curated_to_table, table_to_annotations, table_to_curated

FOLDER = "curated"
MANIFEST = "manifest.json"
ROWS_PER_GROUP = 1_000
_REPEATED = (
    *("source", "teacher_id", "policy_id", "decisions_id", "width", "height"),
    *(f"phrases.list.element.{name}" for name in ("text", "head", "status", "start")),
    *("boxes.list.element.origin", "boxes.list.element.phrase_indices.list.element"),
)
"""Columns whose values repeat: a dictionary of the others costs time and is thrown away."""
BOXES_PER_ROW = 16
"""Candidates that take about as long as one row of other work, see `num_workers`."""


READ = tuple(dict.fromkeys((*candidates.COLUMNS, *label_stats.COLUMNS, *curated_table.COLUMNS)))
"""The columns of a pair that nobody decided about; what no rule and no curated row has, stays on
the disk."""


@dataclass(frozen=True, kw_only=True)
class _Work:
    """What every unit is curated with."""

    policy: FilterPolicy
    decisions: Mapping[str, Sequence[Decision]]
    """record_id -> its decisions, oldest first."""
    stats: CurateStats
    """Without counts: the ids that go into every record."""


@dataclass(frozen=True, kw_only=True)
class _Part:
    """What curating one unit gave."""

    stats: CurateStats
    candidates: LabelStats
    labels: LabelStats
    decided: set[str]
    """The decided pairs that the unit holds."""


def curate_run(
    run: RunStore,
    policy: FilterPolicy,
    decisions: Sequence[Decision] | None = None,
    *,
    workers: int = 0,
    progress: Callable[[int], object] = lambda done: None,
    mapper: Mapper = map_run,
) -> CurateStats:
    """Write RUN/curated/<policy_id>/, one file per unit; readers see the old state until the
    manifest is replaced.

    The same inputs give the same files, byte for byte, whatever the number of `workers`
    (processes; 0: as many as pay) and whoever maps the units. `decisions` are the run's own by
    default.

    Raises:
        DataError: annotations or decisions break the contract, or a decision is about a pair that
            is not among the committed annotations.
        ConfigError: the policy needs scores that the run does not have.
    """
    decisions = load_decisions(run) if decisions is None else decisions
    stats = CurateStats(
        policy_id=policy.policy_id,
        decisions_id=decisions_id(decisions),
        annotations_id=annotations_id(run),
        is_complete=run.is_complete(),
    )
    by_record = decisions_by_record(decisions)
    work = _Work(policy=policy, decisions=by_record, stats=empty_stats(stats))
    commits = list(run.commits().values())
    total = sum(commit.num_boxes for commit in commits) // BOXES_PER_ROW
    of_candidates, of_labels = LabelStats(), LabelStats()
    waiting, done = set(by_record), 0
    for part in mapper(
        run, _curate_unit, commits, work, workers=num_workers(total, len(commits), workers)
    ):
        stats.merge(part.stats)
        of_candidates.merge(part.candidates)
        of_labels.merge(part.labels)
        waiting -= part.decided
        done += part.stats.drops.records
        progress(done)
    if waiting:
        record_id = min(waiting)
        raise DataError(
            f"decision {by_record[record_id][0].decision_id!r} is about {record_id!r}, which is "
            f"not among the committed annotations of this run ({len(waiting)} such pairs)"
        )
    stats.candidates, stats.labels = of_candidates.to_dict(), of_labels.to_dict()
    folder = run.url(FOLDER, stats.policy_id)
    write_bytes(run.url(FOLDER, stats.policy_id, MANIFEST), stats.to_json(policy).encode())
    remove_other_files(folder, {entry["name"] for entry in stats.files}, suffix=".parquet")
    return stats


def _curate_unit(run: RunStore, work: _Work, commit: UnitCommit) -> _Part:
    """Curate and write one unit."""
    part = _Part(
        stats=empty_stats(work.stats),
        candidates=LabelStats(),
        labels=LabelStats(),
        decided=set(),
    )
    buffer, num_rows = io.BytesIO(), 0
    with pq.ParquetWriter(
        buffer, CURATED_SCHEMA, compression="zstd", use_dictionary=list(_REPEATED)
    ) as writer:
        # Pairs with decisions go row by row, and need all of their row.
        for table in unit_tables(run, commit, None if work.decisions else READ):
            curated = _curate_table(table, work, part)
            num_rows += curated.num_rows
            if curated.num_rows:
                part.labels.add(curated)
                writer.write_table(curated, row_group_size=ROWS_PER_GROUP)
    if num_rows:
        _write_file(run, part.stats, commit.unit_id, buffer.getvalue(), num_rows)
    return part


def _curate_table(table: pa.Table, work: _Work, part: _Part) -> pa.Table:
    found = candidates.candidates_of(table)
    outcome = filter_candidates(found, work.policy)
    part.stats.drops.add(found, outcome)
    part.candidates.add(table)
    decided = _decided_rows(table, work)
    rows = np.flatnonzero(outcome.image_codes == 0)
    rows = rows[~np.isin(rows, decided)]
    ids = {"policy_id": part.stats.policy_id, "decisions_id": part.stats.decisions_id}
    curated = curated_table.curated_table(table, found, outcome, rows, **ids)
    part.stats.records_out += len(rows)
    if boxes := len(curated.column("boxes").combine_chunks().flatten()):
        part.stats.boxes_out["teacher"] += boxes
    if not len(decided):
        return curated
    records, places = [], []
    whole = table_to_annotations(table.take(pa.array(decided)))
    for place, row in zip(decided.tolist(), whole, strict=True):
        part.decided.add(row.record_id)
        record = curated_record(
            row,
            outcome.row_result(found, place),
            work.policy,
            resolve_record(row, work.decisions[row.record_id]),
            part.stats,
        )
        if record is not None:
            records.append(record)
            places.append(place)
    both = pa.concat_tables([curated, curated_to_table(records)])
    return both.take(pa.array(np.argsort(np.concatenate([rows, places]), kind="stable")))


def _decided_rows(table: pa.Table, work: _Work) -> NDArray[np.int64]:
    if not work.decisions:
        return np.zeros(0, np.int64)
    record_ids = table.column("record_id").to_pylist()
    decided = [n for n, record_id in enumerate(record_ids) if record_id in work.decisions]
    return np.array(decided, dtype=np.int64)


def ensure_curated(
    run: RunStore,
    policy: FilterPolicy,
    *,
    workers: int = 0,
    progress: Callable[[int], object] = lambda done: None,
) -> CurateStats:
    """The stats of a curation that is up to date with annotations and decisions; made if needed.

    Raises:
        DataError, ConfigError: as `curate_run`.
    """
    decisions = load_decisions(run)
    if exists(run.url(FOLDER, policy.policy_id, MANIFEST)):
        current = (annotations_id(run), decisions_id(decisions), run.is_complete())
        with contextlib.suppress(DataError):  # of another version: it is made again
            stats = read_curate_stats(run, policy.policy_id)
            if (stats.annotations_id, stats.decisions_id, stats.is_complete) == current:
                return stats
    return curate_run(run, policy, decisions, workers=workers, progress=progress)


def read_curate_stats(run: RunStore, policy_id: str) -> CurateStats:
    """The stats in the manifest of a curation.

    Raises:
        DataError: there is none, or it is of another version.
    """
    text = read_bytes(run.url(FOLDER, policy_id, MANIFEST))
    return CurateStats.from_json(text, where=f"{FOLDER}/{policy_id}/{MANIFEST}")


def find_curated(run: RunStore, policy: str) -> str:
    """The policy id of a curation, by the id itself or by a policy's name.

    Raises:
        ConfigError: there is none, or several of that name.
    """
    found = list_folders(run.url(FOLDER))
    fits = [one for one in found if one == policy or one.split("@")[0] == policy]
    if len(fits) != 1:
        known = ", ".join(fits or found) or "none"
        raise ConfigError(
            f"policy {policy!r} names {len(fits)} curations of this run ({known}); run "
            f"glipforge filter RUN --policy {policy.split('@')[0]}, or give the whole id"
        )
    return fits[0]


def iter_curated(run: RunStore, policy: str) -> Iterator[CuratedRecord]:
    """The curated records of a policy (its id or its name), in plan order.

    Raises:
        ConfigError: the run was not curated with it.
        DataError: a file is not the one that the manifest names, or a row breaks the contract.
    """
    policy_id = find_curated(run, policy)
    for entry in read_curate_stats(run, policy_id).files:
        yield from read_curated_file(run, policy_id, entry)


def read_curated_file(
    run: RunStore, policy_id: str, entry: Mapping[str, Any]
) -> Iterator[CuratedRecord]:
    """The records of one file that the manifest names.

    Raises:
        DataError: the file is not the one that the manifest names, or a row breaks the contract.
    """
    data = read_bytes(run.url(FOLDER, policy_id, entry["name"]))
    if sha256_bytes(data) != entry["sha256"]:
        raise DataError(
            f"{FOLDER}/{policy_id}/{entry['name']} was changed after it was written; run "
            "glipforge filter again"
        )
    parquet = pq.ParquetFile(io.BytesIO(data))
    for group in range(parquet.num_row_groups):
        yield from table_to_curated(parquet.read_row_group(group))


def _write_file(
    run: RunStore, stats: CurateStats, unit_id: str, data: bytes, num_rows: int
) -> None:
    digest = sha256_bytes(data)
    # A name from the content: an older manifest goes on naming whole files until it is replaced.
    name = f"{unit_id}-{digest[:16]}.parquet"
    write_bytes(run.url(FOLDER, stats.policy_id, name), data)
    stats.files.append({"name": name, "num_rows": num_rows, "sha256": digest})
