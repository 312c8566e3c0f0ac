"""Chosen columns of a unit's committed rows, as Arrow tables: what whole-run passes read.

Rows are for people and for borders; a pass over a hundred million boxes reads columns, and only
those that it needs. The file is compared with its marker as everywhere, its schema with ours.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.run.commit_protocol import ANNOTATIONS
from pipeline.run.store import RunStore
from pipeline.storage.parquet_bytes import open_bytes
from schemas.arrow_schemas import ANNOTATION_SCHEMA
from schemas.errors import DataError, reason_of
from schemas.plan import UnitCommit
from schemas.spread import in_parts
from schemas.tables import check_schema, with_added

MAX_ROWS = 8_192
"""Rows of one table; a unit with more comes in several, so that memory stays flat."""


def unit_tables(
    run: RunStore, commit: UnitCommit, columns: Collection[str] | None = None
) -> Iterator[pa.Table]:
    """The rows with a result of one committed unit, in order.

    Args:
        run: the run.
        commit: the unit's marker.
        columns: names such as `caption`, `boxes` or `boxes.score`; None: all.

    Raises:
        DataError: a file is missing or torn, or its schema is not that of annotations.
    """
    for file in commit.files:
        if not file.path.startswith(f"{ANNOTATIONS}/"):
            continue
        where = run.url(file.path)
        try:
            parquet = open_bytes(run.read_committed(commit, file))
            check_schema(parquet.schema_arrow, ANNOTATION_SCHEMA)
            if parquet.metadata.num_rows != file.num_rows:
                raise DataError(
                    f"{where} has {parquet.metadata.num_rows} rows, its marker says {file.num_rows}"
                )
            leaves = None if columns is None else leaf_columns(parquet, columns)
            for groups in _in_groups(parquet):
                found = parquet.read_row_groups(groups, columns=leaves, use_threads=False)
                yield with_added(found, ANNOTATION_SCHEMA, columns)
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{where} cannot be read: {reason_of(error)}") from error
        except DataError as error:
            raise DataError(f"{where}: {error}") from error


def run_tables(run: RunStore, columns: Collection[str] | None = None) -> Iterator[pa.Table]:
    """As `unit_tables`, of every committed unit in the order of the plan.

    Raises:
        DataError: as `unit_tables`.
    """
    for commit in run.commits().values():
        yield from unit_tables(run, commit, columns)


def _in_groups(parquet: pq.ParquetFile) -> Iterator[list[int]]:
    """Row groups in runs of at most `MAX_ROWS` rows, or one group where that has more."""
    return in_parts(
        range(parquet.num_row_groups),
        lambda group: int(parquet.metadata.row_group(group).num_rows),
        max_weight=MAX_ROWS,
    )


def leaf_columns(parquet: pq.ParquetFile, columns: Collection[str]) -> list[str]:
    """Paths of the file's leaf columns; Parquet puts `list.element` between a list and a field."""
    paths = [parquet.schema.column(i).path for i in range(len(parquet.schema))]
    named = {path: path.replace(".list.element", "") for path in paths}
    return [
        path for path, name in named.items() if name in columns or name.partition(".")[0] in columns
    ]
