"""What a run will do and what it has done: inputs, units, the plan, and the commit markers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated

from pydantic import Field, with_config

from schemas.checked import STRICT, CountOrZero, from_json, to_plain
from schemas.errors import DataError
from schemas.fingerprint import fingerprint

PLAN_VERSION = 1
MARKER_VERSION = 1


def _is_empty(values: tuple[object, ...]) -> bool:
    return not values  # files without them stay as they were before the field was there


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A range of one input file. Its id comes from the input alone, never from the workers.

    `start` and `stop` are half-open in the reader's own terms (`kind`): record numbers of a tar,
    row groups of a Parquet file, byte offsets of a JSONL file, image entries of a COCO file, places
    among the sorted images of a folder.
    """

    unit_id: str
    uri: str
    kind: str
    start: CountOrZero
    stop: CountOrZero
    num_records: Annotated[int, Field(ge=-1)]
    """Records in the range; -1 where only reading tells."""
    names: Annotated[tuple[str, ...], Field(exclude_if=_is_empty)] = ()
    """Of a range of files in a folder, their names: a folder may gain and lose files."""
    file: Annotated[InputFile | None, Field(exclude=True)] = field(default=None, compare=False)
    """The input file, one of the plan's: what reading compares with what it finds."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class InputFile:
    """An input file as it was when the run was planned."""

    uri: str
    size: CountOrZero
    etag: str
    """ETag of an object store, or `mtime:<ns>` of a local file."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Written once, exclusively, as `_plan.json`; a resume under another plan is refused."""

    corpus: str
    corpus_format: str
    inputs: tuple[InputFile, ...]
    units: tuple[Unit, ...]
    config: Mapping[str, object]
    """Everything that changes the rows: teacher, extractor, floor, limits, reader options."""
    version: int = PLAN_VERSION

    def fingerprint(self) -> str:
        """Hash of the whole plan."""
        return fingerprint(to_plain(self))

    def to_json(self) -> str:
        """The text of `_plan.json`."""
        return json.dumps(to_plain(self), indent=1, sort_keys=True, allow_nan=False)

    @classmethod
    def from_json(cls, text: str, *, where: str) -> Plan:
        """Read `_plan.json`; `where` names the file in errors.

        Raises:
            DataError: the text is not a plan of a version this code reads.
        """
        plan = from_json(cls, text, where=where, what="plan", version=PLAN_VERSION, error=DataError)
        files = {file.uri: file for file in plan.inputs}
        units = tuple(replace(unit, file=files.get(unit.uri)) for unit in plan.units)
        return replace(plan, units=units)


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class CommittedFile:
    """A data file that a marker vouches for."""

    path: str
    """Relative to the run directory, with `/`."""
    num_rows: CountOrZero
    size: CountOrZero
    sha256: str


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class BatchFailure:
    """Batches that failed as a whole; each of their pairs was then asked alone."""

    stage: str
    """`phrases`, `decode` or `teacher`."""
    batches: CountOrZero
    first: str
    """The exception of the first of them."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class UnitCommit:
    """THE commit of a unit: created exclusively, after its data files are safe."""

    unit_id: str
    plan: str
    """Fingerprint of the plan it belongs to."""
    rows_in: CountOrZero
    rows_out: CountOrZero
    status_counts: Mapping[str, CountOrZero]
    num_boxes: CountOrZero
    files: tuple[CommittedFile, ...]
    attempt: str
    teacher_id: str
    seconds: Mapping[str, Annotated[float, Field(allow_inf_nan=False)]]
    """Seconds by stage: read, decode, phrases, teacher, write."""
    finished_at: str
    examples: Mapping[str, str] = field(default_factory=dict)
    """For each quarantine status one `<record_id>: <detail>`."""
    batch_failures: Annotated[tuple[BatchFailure, ...], Field(exclude_if=_is_empty)] = ()
    """What was slow for a reason: batches that were asked again, one pair at a time."""
    version: int = MARKER_VERSION

    def to_json(self) -> str:
        """The text of `_commits/<unit>.json`."""
        return json.dumps(to_plain(self), indent=1, sort_keys=True, allow_nan=False)

    @classmethod
    def from_json(cls, text: str, *, where: str) -> UnitCommit:
        """Read a marker; `where` names the file in errors.

        Raises:
            DataError: the text is not a marker of a version this code reads.
        """
        return from_json(
            cls,
            text,
            where=where,
            what="commit marker",
            version=MARKER_VERSION,
            error=DataError,
        )
