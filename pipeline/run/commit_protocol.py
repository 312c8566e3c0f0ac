"""What a commit consists of, and the two places it can be made: a file system, an object store.

A unit's rows are encoded once, in memory. A committer then makes them durable, creates the marker
exclusively, and only then are they part of the run. Readers follow markers.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.storage.parquet_bytes import table_of
from schemas.errors import DataError, reason_of
from schemas.fingerprint import sha256_bytes
from schemas.plan import CommittedFile, Unit, UnitCommit
from schemas.records import Annotation
from schemas.tables import annotations_to_table, table_to_annotations

ANNOTATIONS = "annotations"
QUARANTINE = "quarantine"
MARKERS = "_commits"
ROWS_PER_GROUP = 1024
_REPEATED = (
    *("source", "width", "height", "status", "detail", "teacher_id", "caption_origin"),
    *(f"phrases.list.element.{name}" for name in ("text", "start", "end", "head", "status")),
    *("boxes.list.element.phrase_index", "proposed_by.list.element"),
)
"""Columns whose values repeat. A dictionary of ids or captions is as large as they are."""
_NUMBERS = (
    *(
        f"boxes.list.element.{name}"
        for name in ("x0", "y0", "x1", "y1", "score", "token_score", "centerness")
    ),
    "phrases.list.element.best_score",
)
"""Columns of floats: their bytes are stored sorted by place, which compresses and reads faster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitFile:
    """One encoded table of a unit, not yet anywhere."""

    folder: str
    """`annotations` or `quarantine`; empty: the place itself."""
    num_rows: int
    data: bytes

    def committed_as(self, path: str) -> CommittedFile:
        """What the marker says about it."""
        return CommittedFile(
            path=path,
            num_rows=self.num_rows,
            size=len(self.data),
            sha256=sha256_bytes(self.data),
        )


class Committer(Protocol):
    """How commits are made and found again in one kind of place."""

    def path_of(self, file: UnitFile, unit_id: str, attempt: str) -> str:
        """Where the file will be, relative to the run."""
        ...

    def commit(self, commit: UnitCommit, files: Sequence[UnitFile]) -> bool:
        """Make the files durable, then the marker; False where another attempt was first."""
        ...

    def read_file(self, commit: UnitCommit, file: CommittedFile) -> bytes | None:
        """The bytes that the marker vouches for; None where they are missing or torn."""
        ...

    def settle(self, commits: Sequence[UnitCommit]) -> list[bool]:
        """Finish what killed writers left; False where data of a marker is missing or torn."""
        ...

    def withdraw(self, commit: UnitCommit) -> None:
        """Take a commit back whose data is lost, so that the unit is done again."""
        ...

    def markers(self, unit_ids: Sequence[str], known: Iterable[str]) -> dict[str, str | None]:
        """Texts of the markers of these units; None in place of the text of a known one."""
        ...

    def clean(self, commits: Iterable[UnitCommit]) -> None:
        """Remove what attempts left behind; only where every unit has its marker."""
        ...


def encode_rows(folder: str, rows: Sequence[Annotation]) -> UnitFile:
    """The rows as a Parquet file; the same rows give the same bytes.

    Raises:
        DataError: a row breaks the contract.
    """
    data = encode_table(annotations_to_table(rows))
    return UnitFile(folder=folder, num_rows=len(rows), data=data)


def encode_table(table: pa.Table) -> bytes:
    """Annotations as a Parquet file."""
    buffer = io.BytesIO()
    pq.write_table(
        table,
        buffer,
        compression="zstd",
        row_group_size=ROWS_PER_GROUP,
        use_dictionary=list(_REPEATED),
        column_encoding=dict.fromkeys(_NUMBERS, "BYTE_STREAM_SPLIT"),
    )
    return buffer.getvalue()


def decode_rows(data: bytes, *, where: str) -> list[Annotation]:
    """The rows of such a file; `where` names it in errors.

    Raises:
        DataError: the bytes are not a table of this kind, or a row breaks the contract.
    """
    try:
        return table_to_annotations(table_of(data))
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{where} cannot be read: {reason_of(error)}") from error
    except DataError as error:
        raise DataError(f"{where}: {error}") from error


def marker_path(unit_id: str) -> str:
    """Path of a unit's marker, relative to the run."""
    return f"{MARKERS}/{unit_id}.json"


def data_path(folder: str, name: str) -> str:
    """Path of a data file, relative to the place; an empty folder is the place itself."""
    return f"{folder}/{name}" if folder else name


def folder_of(path: str) -> str:
    """The folder of a data file, empty where it is the place itself."""
    return path.rpartition("/")[0]


def is_intact(data: bytes, file: CommittedFile) -> bool:
    """True where these are the bytes that the marker vouches for."""
    return len(data) == file.size and sha256_bytes(data) == file.sha256


def check_counts(unit: Unit, commit: UnitCommit) -> None:
    """Rows in = rows out = rows by status = rows in files = records planned.

    Raises:
        DataError: naming the unit and the counts that differ.
    """
    counts = {
        "rows_in": commit.rows_in,
        "rows_out": commit.rows_out,
        "rows by status": sum(commit.status_counts.values()),
        "rows in files": sum(file.num_rows for file in commit.files),
    }
    if unit.num_records >= 0:
        counts["planned records"] = unit.num_records
    if len(set(counts.values())) > 1:
        raise DataError(f"unit {unit.unit_id!r}: rows do not add up: {counts}")


def as_json(content: object) -> bytes:
    """JSON for people and programs: indented, sorted."""
    return json.dumps(content, indent=1, sort_keys=True, allow_nan=False).encode()
