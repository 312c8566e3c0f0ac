"""What a run will do and what it has done: inputs, units, the plan, and the commit markers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields

from schemas.errors import DataError
from schemas.fingerprint import fingerprint

PLAN_VERSION = 1
MARKER_VERSION = 1


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
    start: int
    stop: int
    num_records: int
    """Records in the range; -1 where only reading tells."""
    names: tuple[str, ...] = ()
    """Of a range of files in a folder, their names: a folder may gain and lose files."""
    file: InputFile | None = field(default=None, compare=False)
    """The input file, one of the plan's: what reading compares with what it finds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFile:
    """An input file as it was when the run was planned."""

    uri: str
    size: int
    etag: str
    """ETag of an object store, or `mtime:<ns>` of a local file."""


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
        return fingerprint(self._as_dict())

    def to_json(self) -> str:
        """The text of `_plan.json`."""
        return json.dumps(self._as_dict(), indent=1, sort_keys=True, allow_nan=False)

    def _as_dict(self) -> dict[str, object]:
        # `asdict` copies every value of a hundred thousand units: most of the time of a start.
        return {entry.name: getattr(self, entry.name) for entry in fields(self)} | {
            "inputs": [_values(file, _INPUT_FIELDS) for file in self.inputs],
            "units": [_unit_values(unit) for unit in self.units],
        }

    @classmethod
    def from_json(cls, text: str, *, where: str) -> Plan:
        """Read `_plan.json`; `where` names the file in errors.

        Raises:
            DataError: the text is not a plan of a version this code reads.
        """
        raw = _read_object(text, where=where, version=PLAN_VERSION)
        try:
            raw["inputs"] = tuple(InputFile(**entry) for entry in raw["inputs"])
            files = {file.uri: file for file in raw["inputs"]}
            raw["units"] = tuple(_unit(entry, files) for entry in raw["units"])
            return cls(**raw)
        except (TypeError, KeyError) as error:
            raise DataError(f"{where} is not a plan: {error}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class CommittedFile:
    """A data file that a marker vouches for."""

    path: str
    """Relative to the run directory, with `/`."""
    num_rows: int
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitCommit:
    """THE commit of a unit: created exclusively, after its data files are safe."""

    unit_id: str
    plan: str
    """Fingerprint of the plan it belongs to."""
    rows_in: int
    rows_out: int
    status_counts: Mapping[str, int]
    num_boxes: int
    files: tuple[CommittedFile, ...]
    attempt: str
    teacher_id: str
    seconds: Mapping[str, float]
    """Seconds by stage: read, decode, phrases, teacher, write."""
    finished_at: str
    examples: Mapping[str, str] = field(default_factory=dict)
    """For each quarantine status one `<record_id>: <detail>`."""
    version: int = MARKER_VERSION

    def to_json(self) -> str:
        """The text of `_commits/<unit>.json`."""
        return json.dumps(asdict(self), indent=1, sort_keys=True, allow_nan=False)

    @classmethod
    def from_json(cls, text: str, *, where: str) -> UnitCommit:
        """Read a marker; `where` names the file in errors.

        Raises:
            DataError: the text is not a marker of a version this code reads.
        """
        raw = _read_object(text, where=where, version=MARKER_VERSION)
        try:
            raw["files"] = tuple(CommittedFile(**entry) for entry in raw["files"])
            return cls(**raw)
        except (TypeError, KeyError) as error:
            raise DataError(f"{where} is not a commit marker: {error}") from error


_UNIT_FIELDS = tuple(entry.name for entry in fields(Unit) if entry.name != "file")
_INPUT_FIELDS = tuple(entry.name for entry in fields(InputFile))


def _values(entry: Unit | InputFile, names: tuple[str, ...]) -> dict[str, object]:
    return {name: getattr(entry, name) for name in names}


def _unit_values(unit: Unit) -> dict[str, object]:
    values = _values(unit, _UNIT_FIELDS)
    if not unit.names:
        del values["names"]  # plans of other corpora stay as they were before there were names
    return values


def _unit(entry: dict, files: Mapping[str, InputFile]) -> Unit:
    names = tuple(entry.get("names", ()))
    return Unit(**entry | {"names": names, "file": files.get(entry["uri"])})


def _read_object(text: str, *, where: str, version: int) -> dict:
    try:
        raw = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{where} is not JSON: {error}") from error
    if not isinstance(raw, dict):
        raise DataError(f"{where} must hold a JSON object, got {type(raw).__name__}")
    if raw.get("version") != version:
        raise DataError(
            f"{where} has version {raw.get('version')!r}; this glipforge reads version {version}"
        )
    return raw
