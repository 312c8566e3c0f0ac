"""Curating some units at once: rules over columns, decisions row by row, a file for each unit."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.curation import curated_table, label_stats
from pipeline.curation.box_state import PairReview, resolve_record
from pipeline.curation.curated_record import curated_record
from pipeline.curation.label_stats import LabelStats
from pipeline.curation.manifest import CuratedFile, CurateStats, empty_stats
from pipeline.curation.negatives import with_doubts
from pipeline.curation.own_phrases import with_phrases
from pipeline.curation.rules import candidates, layer_scores
from pipeline.curation.rules.filters import filter_candidates
from pipeline.curation.rules.layer_scores import LayerScores, load_layer_scores
from pipeline.curation.rules.policy import FilterPolicy
from pipeline.curation.second_spans import with_second_spans
from pipeline.run.columns import unit_tables
from pipeline.run.store import RunStore
from schemas.arrow_schemas import CURATED_SCHEMA
from schemas.fingerprint import sha256_bytes
from schemas.plan import UnitCommit
from schemas.records import Decision
from schemas.tables import curated_to_table, table_to_annotations

FOLDER = "curated"
ROWS_PER_GROUP = 1_000
ROWS_PER_BATCH = 8_192
"""Pairs that are filtered together; a unit with more comes alone."""
_SMALL = (
    *("source", "teacher_id", "policy_id", "decisions_id", "width", "height", "caption_origin"),
    *("phrases.list.element.status", "boxes.list.element.origin"),
    "boxes.list.element.phrase_indices.list.element",
)
"""Columns of few values: a dictionary makes them small, and compressing that again only costs."""
_REPEATED = (*_SMALL, "phrases.list.element.start")
"""Columns whose values repeat: a dictionary of the others costs time and is thrown away."""
_COMPRESSION = {path: "none" if path in _SMALL else "zstd" for path in curated_table.leaf_paths()}
READ = tuple(
    dict.fromkeys(
        (
            *candidates.COLUMNS,
            *label_stats.COLUMNS,
            *curated_table.COLUMNS,
            *layer_scores.COLUMNS,
        )
    )
)
"""The columns of a pair that nobody decided about; what no rule and no curated row has, stays on
the disk."""


@dataclass(frozen=True, kw_only=True)
class BatchWork:
    """What all units are curated with."""

    policy: FilterPolicy
    threshold: float | None
    """What the policy's `min_precision` comes to on this run."""
    decisions: Mapping[str, Sequence[Decision]]
    """record_id -> its decisions, oldest first."""
    stats: CurateStats
    """Without counts: the ids that go into every record."""


@dataclass(frozen=True, kw_only=True)
class BatchResult:
    """What curating some units gave."""

    stats: CurateStats
    candidates: LabelStats
    labels: LabelStats
    decided: set[str]
    """The decided pairs that the units hold."""


def in_batches(commits: Sequence[UnitCommit]) -> list[tuple[UnitCommit, ...]]:
    """Units in order, small ones together: the same batches whoever works on them."""
    batches: list[tuple[UnitCommit, ...]] = []
    rows = 0
    for commit in commits:
        rows += commit.rows_out
        if not batches or rows > ROWS_PER_BATCH:
            batches.append(())
            rows = commit.rows_out
        batches[-1] += (commit,)
    return batches


def curate_batch(run: RunStore, work: BatchWork, commits: tuple[UnitCommit, ...]) -> BatchResult:
    """Curate some units, and write a file for each."""
    part = BatchResult(
        stats=empty_stats(work.stats),
        candidates=LabelStats(),
        labels=LabelStats(),
        decided=set(),
    )
    layers = load_layer_scores(run, [work.policy], commits)
    # Pairs with decisions go row by row, and need all of their row.
    columns = None if work.decisions else READ
    if len(commits) == 1:
        tables = unit_tables(run, commits[0], columns)
        _write_unit(
            run, part, commits[0], (_curate(table, work, part, layers)[0] for table in tables)
        )
        return part
    units = [list(unit_tables(run, commit, columns)) for commit in commits]
    tables_of_all = [table for tables in units for table in tables]
    if tables_of_all:
        whole = pa.concat_tables(tables_of_all).combine_chunks()
        curated, rows = _curate(whole, work, part, layers)
        ends = np.cumsum([sum(table.num_rows for table in tables) for tables in units])
        places = np.searchsorted(rows, [0, *ends])
        for commit, start, stop in zip(commits, places, places[1:], strict=False):
            _write_unit(run, part, commit, [curated.slice(start, stop - start)])
    return part


def _write_unit(
    run: RunStore, part: BatchResult, commit: UnitCommit, tables: Iterable[pa.Table]
) -> None:
    buffer, num_rows = io.BytesIO(), 0
    with pq.ParquetWriter(
        buffer,
        CURATED_SCHEMA,
        compression=_COMPRESSION,
        use_dictionary=list(_REPEATED),
        write_statistics=["record_id"],  # which SQL on the run skips by; others only cost
    ) as writer:
        for table in tables:
            num_rows += table.num_rows
            if table.num_rows:
                writer.write_table(table, row_group_size=ROWS_PER_GROUP)
    if num_rows:
        _write_file(run, part.stats, commit.unit_id, buffer.getvalue(), num_rows)


def _curate(
    table: pa.Table, work: BatchWork, part: BatchResult, layers: LayerScores
) -> tuple[pa.Table, NDArray[np.int64]]:
    """The curated rows of a table of annotations, and for each the row that it comes from."""
    found = layers.beside(candidates.candidates_of(table), table)
    outcome = filter_candidates(found, work.policy, precision_threshold=work.threshold)
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
    records, places = [], []
    whole = table_to_annotations(table.take(pa.array(decided))) if len(decided) else []
    for place, row in zip(decided.tolist(), whole, strict=True):
        part.decided.add(row.record_id)
        of_row = work.decisions[row.record_id]
        said = resolve_record(row, of_row)
        record = curated_record(
            with_phrases(row, of_row),
            outcome.row_result(found, place),
            work.policy,
            said,
            part.stats,
        )
        if record is not None:
            misses = said.pair.review == PairReview.MISSING
            goes = outcome.phrase_goes[slice(*found.phrases.offsets[place : place + 2])]
            records.append(with_doubts(record, goes=goes.tolist(), misses_a_box=misses))
            places.append(place)
    if records:
        rows = np.concatenate([rows, places])
        order = np.argsort(rows, kind="stable")
        curated = pa.concat_tables([curated, curated_to_table(records)]).take(pa.array(order))
        rows = rows[order]
    if work.policy.second_spans and curated.num_rows:
        curated, added = with_second_spans(curated, work.policy, layers.readings)
        part.stats.second_spans += added
    part.labels.add(curated)
    return curated, rows


def _decided_rows(table: pa.Table, work: BatchWork) -> NDArray[np.int64]:
    if not work.decisions:
        return np.zeros(0, np.int64)
    record_ids = table.column("record_id").to_pylist()
    decided = [n for n, record_id in enumerate(record_ids) if record_id in work.decisions]
    return np.array(decided, dtype=np.int64)


def _write_file(
    run: RunStore, stats: CurateStats, unit_id: str, data: bytes, num_rows: int
) -> None:
    digest = sha256_bytes(data)
    # A name from the content: an older manifest goes on naming whole files until it is replaced.
    name = f"{unit_id}-{digest[:16]}.parquet"
    run.write(data, FOLDER, stats.policy_id, name)
    stats.files.append(CuratedFile(name=name, num_rows=num_rows, sha256=digest))
