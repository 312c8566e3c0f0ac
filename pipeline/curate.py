"""Annotations + policy + decisions = curated records: derived, streaming, the same every time."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from pipeline.curate_stats import CurateStats
from pipeline.curated_record import curated_record
from pipeline.decisions import (
    decisions_by_record,
    decisions_id,
    load_decisions,
    resolve_record,
)
from pipeline.layer_files import list_folders, remove_other_files
from pipeline.policy import FilterPolicy
from pipeline.storage import exists, read_bytes, write_bytes
from schemas.errors import ConfigError, DataError
from schemas.fingerprint import fingerprint, sha256_bytes
from schemas.records import Annotation, CuratedRecord, Decision
from schemas.tables import curated_to_table, table_to_curated

if TYPE_CHECKING:
    from pipeline.run_store import RunStore

FOLDER = "curated"
MANIFEST = "manifest.json"
ROWS_PER_GROUP = 1_000
ROWS_PER_FILE = 10_000


def curated_stream(
    annotations: Iterable[Annotation],
    policy: FilterPolicy,
    decisions: Sequence[Decision],
    stats: CurateStats,
) -> Iterator[CuratedRecord]:
    """The curated records of annotations, in their order.

    Raises:
        DataError: a decision is about a pair, box or phrase that is not there.
    """
    waiting = decisions_by_record(decisions)
    for row in annotations:
        decided = resolve_record(row, waiting.pop(row.record_id, ()))
        record = curated_record(row, policy, decided, stats)
        if record is not None:
            yield record
    for record_id, rows in waiting.items():
        raise DataError(
            f"decision {rows[0].decision_id!r} is about {record_id!r}, which is not among the "
            f"committed annotations of this run ({len(waiting)} such pairs)"
        )


def curate_run(
    run: RunStore,
    policy: FilterPolicy,
    decisions: Sequence[Decision] | None = None,
    *,
    progress: Callable[[int], object] = lambda done: None,
) -> CurateStats:
    """Write RUN/curated/<policy_id>/; readers see the old state until the manifest is replaced.

    The same inputs give the same files, byte for byte. `decisions` are the run's own by default.

    Raises:
        DataError: annotations or decisions break the contract.
        ConfigError: the policy needs scores that the run does not have.
    """
    decisions = load_decisions(run) if decisions is None else decisions
    stats = CurateStats(
        policy_id=policy.policy_id,
        decisions_id=decisions_id(decisions),
        annotations_id=annotations_id(run),
        is_complete=run.is_complete(),
    )
    batch: list[CuratedRecord] = []
    annotations = _with_progress(run.iter_annotations(), progress)
    for record in curated_stream(annotations, policy, decisions, stats):
        batch.append(record)
        if len(batch) == ROWS_PER_FILE:
            _write_file(run, stats, batch)
            batch = []
    if batch:
        _write_file(run, stats, batch)
    folder = run.url(FOLDER, stats.policy_id)
    write_bytes(run.url(FOLDER, stats.policy_id, MANIFEST), stats.to_json(policy).encode())
    remove_other_files(folder, {entry["name"] for entry in stats.files}, suffix=".parquet")
    return stats


def ensure_curated(
    run: RunStore,
    policy: FilterPolicy,
    *,
    progress: Callable[[int], object] = lambda done: None,
) -> CurateStats:
    """The stats of a curation that is up to date with annotations and decisions; made if needed.

    Raises:
        DataError, ConfigError: as `curate_run`.
    """
    decisions = load_decisions(run)
    if exists(run.url(FOLDER, policy.policy_id, MANIFEST)):
        stats = read_curate_stats(run, policy.policy_id)
        current = (annotations_id(run), decisions_id(decisions), run.is_complete())
        if (stats.annotations_id, stats.decisions_id, stats.is_complete) == current:
            return stats
    return curate_run(run, policy, decisions, progress=progress)


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
        data = read_bytes(run.url(FOLDER, policy_id, entry["name"]))
        if sha256_bytes(data) != entry["sha256"]:
            raise DataError(
                f"{FOLDER}/{policy_id}/{entry['name']} was changed after it was written; run "
                "glipforge filter again"
            )
        parquet = pq.ParquetFile(io.BytesIO(data))
        for group in range(parquet.num_row_groups):
            yield from table_to_curated(parquet.read_row_group(group))


def annotations_id(run: RunStore) -> str:
    """Fingerprint of the annotation files that the run has committed."""
    commits = run.commits()
    return fingerprint(
        [[unit, [file.sha256 for file in commits[unit].files]] for unit in sorted(commits)]
    )


def _with_progress(
    annotations: Iterable[Annotation], progress: Callable[[int], object]
) -> Iterator[Annotation]:
    for done, row in enumerate(annotations, start=1):
        yield row
        if done % ROWS_PER_GROUP == 0:
            progress(done)


def _write_file(run: RunStore, stats: CurateStats, batch: Sequence[CuratedRecord]) -> None:
    buffer = io.BytesIO()
    pq.write_table(
        curated_to_table(batch), buffer, compression="zstd", row_group_size=ROWS_PER_GROUP
    )
    data = buffer.getvalue()
    digest = sha256_bytes(data)
    # A name from the content: an older manifest goes on naming whole files until it is replaced.
    name = f"part-{len(stats.files):05d}-{digest[:16]}.parquet"
    write_bytes(run.url(FOLDER, stats.policy_id, name), data)
    stats.files.append({"name": name, "num_rows": len(batch), "sha256": digest})
