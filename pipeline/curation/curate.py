"""Annotations + policy + decisions = curated records: derived, streaming, the same every time."""

from __future__ import annotations

import contextlib
import copy
import errno
from collections.abc import Callable, Iterator, Sequence

from pipeline.curation.batch import FOLDER, BatchWork, curate_batch, in_batches
from pipeline.curation.calibration import precision_threshold
from pipeline.curation.decisions import (
    decisions_by_record,
    decisions_id,
    load_decisions,
)
from pipeline.curation.in_use import in_use
from pipeline.curation.label_stats import LabelStats
from pipeline.curation.manifest import CuratedFile, CurateStats
from pipeline.curation.rules.policy import FilterPolicy
from pipeline.layers.columns import require_columns
from pipeline.run.map_units import Mapper, map_run, num_workers
from pipeline.run.store import RunStore
from pipeline.storage.errors import MissingFile
from pipeline.storage.files import read_bytes
from pipeline.storage.folders import list_folders
from pipeline.storage.parquet_bytes import open_bytes
from schemas.checked import to_plain
from schemas.damage import whole
from schemas.errors import ConfigError, DataError, os_sentence
from schemas.fingerprint import sha256_bytes
from schemas.records import CuratedRecord, Decision
from schemas.tables import table_to_curated

MANIFEST = "manifest.json"
BOXES_PER_ROW = 16
"""Candidates that take about as long as one row of other work, see `num_workers`."""


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
        ConfigError: the policy needs scores that the run does not have, or a calibration.
    """
    work = curation_work(run, policy, load_decisions(run) if decisions is None else decisions)
    return _curate(run, work, workers=workers, progress=progress, mapper=mapper)


def _curate(
    run: RunStore,
    work: BatchWork,
    *,
    workers: int,
    progress: Callable[[int], object],
    mapper: Mapper = map_run,
) -> CurateStats:
    stats = copy.deepcopy(work.stats)
    commits = list(run.commits().values())
    total = sum(commit.num_boxes for commit in commits) // BOXES_PER_ROW
    of_candidates, of_labels = LabelStats(), LabelStats()
    waiting, done = set(work.decisions), 0
    batches = in_batches(commits)
    pool = num_workers(total, len(batches), workers)
    with (
        _said_where_read_only(run, stats.policy_id),
        in_use(run.url(FOLDER, stats.policy_id), writes=True) as use,
    ):
        for part in mapper(run, curate_batch, batches, work, workers=pool):
            stats.merge(part.stats)
            of_candidates.merge(part.candidates)
            of_labels.merge(part.labels)
            waiting -= part.decided
            done += part.stats.drops.records
            progress(done)
        if waiting:
            record_id = min(waiting)
            decision_id = work.decisions[record_id][0].decision_id
            raise DataError(
                f"decision {decision_id!r} is about {record_id!r}, which "
                f"is not among the committed annotations of this run ({len(waiting)} such pairs)"
            )
        stats.candidates, stats.labels = of_candidates.counts(), of_labels.counts()
        run.write(stats.to_json().encode(), FOLDER, stats.policy_id, MANIFEST)
        use.remove_leftovers(lambda: _named(run, stats.policy_id), MANIFEST)
    return stats


@contextlib.contextmanager
def _said_where_read_only(run: RunStore, policy_id: str) -> Iterator[None]:
    """A run from others may lie where nothing can be written, with a curation that is older."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise
        raise ConfigError(
            f"{run.uri} has no curation of {policy_id} that is as new as its labels and decisions, "
            f"and none can be written there: {os_sentence(error)}. Copy the run to a place of your "
            "own, and give that"
        ) from error


def _named(run: RunStore, policy_id: str) -> set[str]:
    return {file.name for file in read_curate_stats(run, policy_id).files}


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
    work = curation_work(run, policy, load_decisions(run))
    # None is there, or it is of another version: it is made.
    with contextlib.suppress(MissingFile, DataError):
        made = read_curate_stats(run, policy.policy_id)
        if made.made_of == work.stats.made_of:
            return made
    return _curate(run, work, workers=workers, progress=progress)


def curation_work(run: RunStore, policy: FilterPolicy, decisions: Sequence[Decision]) -> BatchWork:
    """All that a curation is made of, read once.

    Raises:
        ConfigError: the policy needs scores that the run does not have, or a calibration.
    """
    threshold, calibration_id = precision_threshold(run, policy)
    return BatchWork(
        policy=policy,
        threshold=threshold,
        decisions=decisions_by_record(decisions),
        stats=CurateStats(
            layers_id=require_columns(run, policy.layer_columns()),
            calibration_id=calibration_id,
            negative_below=policy.negative_below,
            policy_id=policy.policy_id,
            decisions_id=decisions_id(decisions),
            annotations_id=run.annotations_id(),
            is_complete=run.is_complete(),
            policy=to_plain(policy),
        ),
    )


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
        way_out = (
            "give one by its whole id"
            if fits
            else f"run glipforge filter RUN --policy {policy.split('@')[0]}, or give the whole id"
        )
        raise ConfigError(
            f"policy {policy!r} names {len(fits)} curations of this run ({known}); {way_out}"
        )
    return fits[0]


def iter_curated(run: RunStore, policy: str) -> Iterator[CuratedRecord]:
    """The curated records of a policy (its id or its name), in plan order; of one state of it,
    whoever filters meanwhile.

    Raises:
        ConfigError: the run was not curated with it.
        DataError: a file is not the one that the manifest names, or a row breaks the contract.
    """
    for _, records in curated_units(run, find_curated(run, policy)):
        yield from records


def curated_units(run: RunStore, policy_id: str) -> Iterator[tuple[str, Iterator[CuratedRecord]]]:
    """unit_id and curated records of each unit that has any, as the manifest names them now; the
    files stay until the last was taken.

    Raises:
        DataError: the manifest is missing or of another version, or as `iter_curated`.
    """
    with in_use(run.url(FOLDER, policy_id)):
        for file in read_curate_stats(run, policy_id).files:
            yield file.unit_id, _records_of(run, policy_id, file)


def _records_of(run: RunStore, policy_id: str, file: CuratedFile) -> Iterator[CuratedRecord]:
    try:
        data = read_bytes(run.url(FOLDER, policy_id, file.name))
    except MissingFile as error:
        raise DataError(
            f"{FOLDER}/{policy_id}/{file.name} is gone, though the manifest named it; run "
            "glipforge filter again"
        ) from error
    if sha256_bytes(data) != file.sha256:
        raise DataError(
            f"{FOLDER}/{policy_id}/{file.name} was changed after it was written; run "
            "glipforge filter again"
        )
    where = f"{FOLDER}/{policy_id}/{file.name}"
    with whole(where, "run glipforge filter again"):
        parquet = open_bytes(data)
        groups = parquet.num_row_groups
    for group in range(groups):
        with whole(where, "run glipforge filter again"):
            rows = list(table_to_curated(parquet.read_row_group(group, use_threads=False)))
        yield from rows
