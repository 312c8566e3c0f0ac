"""The curated rows of many pairs that nobody decided about, made column by column."""

from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.curation.rules.candidates import Candidates, Ints, flat_list
from pipeline.curation.rules.filter_result import FilterOutcome
from schemas.arrow_schemas import ANNOTATION_SCHEMA, CURATED_BOX_TYPE, CURATED_SCHEMA
from schemas.records import PhraseStatus

PASSED_ON = tuple(name for name in CURATED_SCHEMA.names if name in ANNOTATION_SCHEMA.names)
"""Columns of an annotation that its curated row has too; all but `boxes`, and the status of some
phrases, go through unchanged."""
COLUMNS = (*(name for name in PASSED_ON if name != "boxes"), "boxes.box_id")
"""What `curated_table` needs of a table of annotations, beside what the rules need."""


def leaf_paths() -> list[str]:
    """Names of the columns that Parquet stores for `CURATED_SCHEMA`."""
    buffer = io.BytesIO()
    pq.write_table(CURATED_SCHEMA.empty_table(), buffer)
    schema = pq.read_metadata(buffer).schema
    return [schema.column(number).path for number in range(len(schema))]


def curated_table(
    table: pa.Table,
    candidates: Candidates,
    outcome: FilterOutcome,
    rows: Ints,
    *,
    policy_id: str,
    decisions_id: str,
) -> pa.Table:
    """Curated rows of `CURATED_SCHEMA`, equal to those made one by one.

    Args:
        table: annotations that hold at least `COLUMNS`.
        candidates: of that table.
        outcome: what the rules say about them.
        rows: which pairs, ascending; each of them passes the image rule.
        policy_id: of every row.
        decisions_id: of every row.
    """
    chosen = table.select([name for name in PASSED_ON if name != "boxes"]).take(pa.array(rows))
    boxes = _boxes(table, candidates, outcome, rows)
    phrases = chosen.column("phrases")
    if outcome.phrase_goes.any():
        phrases = _phrases(phrases.combine_chunks(), candidates, outcome, rows)
    columns = []
    for column in CURATED_SCHEMA:
        if column.name == "boxes":
            columns.append(boxes)
        elif column.name == "phrases":
            columns.append(phrases)
        elif column.name in ("policy_id", "decisions_id"):
            value = policy_id if column.name == "policy_id" else decisions_id
            columns.append(pa.repeat(pa.scalar(value, column.type), len(rows)))
        else:
            columns.append(chosen.column(column.name))
    return pa.Table.from_arrays(columns, schema=CURATED_SCHEMA)


def _boxes(
    table: pa.Table, candidates: Candidates, outcome: FilterOutcome, rows: Ints
) -> pa.ListArray:
    wanted = np.zeros(candidates.num_rows, dtype=bool)
    wanted[rows] = True
    kept = outcome.labels(candidates)
    kept = kept[wanted[candidates.row_of[kept]]]
    _, values = flat_list(table, "boxes")
    arrays = {
        "box_id": values.field("box_id").take(pa.array(kept)),
        "phrase_indices": _phrase_indices(candidates, outcome, kept),
        "score": pa.array(outcome.scores[kept]),
        "origin": pa.repeat(pa.scalar("teacher"), len(kept)),
    } | {
        name: pa.array(corner[kept])
        for name, corner in zip(("x0", "y0", "x1", "y1"), candidates.corners, strict=True)
    }
    struct = pa.StructArray.from_arrays(
        [arrays[f.name] for f in CURATED_BOX_TYPE], fields=list(CURATED_BOX_TYPE)
    )
    per_row = np.bincount(candidates.row_of[kept], minlength=candidates.num_rows)[rows]
    offsets = np.concatenate([[0], np.cumsum(per_row)]).astype(np.int32)
    return pa.ListArray.from_arrays(offsets, struct, type=CURATED_SCHEMA.field("boxes").type)


def _phrases(
    chosen: pa.ListArray, candidates: Candidates, outcome: FilterOutcome, rows: Ints
) -> pa.ListArray:
    """The phrases of some pairs; those that go say so, unless they were not asked for."""
    starts, sizes = candidates.phrases.offsets[rows], np.diff(candidates.phrases.offsets)[rows]
    ends = np.cumsum(sizes)
    places = np.arange(sizes.sum()) + np.repeat(starts - (ends - sizes), sizes)
    values = chosen.flatten()
    status = values.field("status")
    goes = pc.and_(pa.array(outcome.phrase_goes[places]), pc.equal(status, PhraseStatus.OK.value))
    said = pc.if_else(goes, PhraseStatus.DROPPED.value, status)
    arrays = [said if f.name == "status" else values.field(f.name) for f in values.type]
    return pa.ListArray.from_arrays(
        np.concatenate([[0], ends]).astype(np.int32),
        pa.StructArray.from_arrays(arrays, fields=list(values.type)),
        type=chosen.type,
    )


def _phrase_indices(candidates: Candidates, outcome: FilterOutcome, kept: Ints) -> pa.ListArray:
    """For each kept box its own phrase and those merged onto it, each once, in that order."""
    places, members = outcome.members(candidates, kept)
    phrases = candidates.phrase_of[members]
    if len(members) > len(kept):
        # Of equal (box, phrase) the first stays; `unique` tells where that stands.
        _, first = np.unique(np.stack([places, phrases], axis=1), axis=0, return_index=True)
        first.sort()
        places, members, phrases = places[first], members[first], phrases[first]
    local = phrases - candidates.phrases.offsets[candidates.row_of[members]]
    sizes = np.bincount(places, minlength=len(kept))
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    kind = CURATED_BOX_TYPE.field("phrase_indices").type
    return pa.ListArray.from_arrays(offsets, pa.array(local.astype(np.int32)), type=kind)
