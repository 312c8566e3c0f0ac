"""A run goes on with its corpus at another place, or with other times of the same files.

The run remembers where its corpus went, so that whoever opens its images finds them there.

The plan stays as it was written: what the new place gives is named as at the old one, and compared.
Times of files are not, where their sizes agree; that the content does is seen at pictures whose
hashes are in the rows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from pipeline.images.access import is_at
from pipeline.images.fetch import read_image_uri
from pipeline.run.store import PLAN, RunStore
from pipeline.storage.errors import MissingFile
from pipeline.storage.files import is_local, local_path, read_bytes
from schemas.damage import whole
from schemas.errors import ConfigError, RecordError
from schemas.fingerprint import sha256_bytes
from schemas.plan import InputFile, Plan, Unit

RELOCATED = "_relocated.json"
LOOKED_AT = 16
"""Pictures of committed rows that are read and compared."""
_JOINED = " + "


@dataclass(frozen=True, slots=True, kw_only=True)
class Relocation:
    """Where a corpus was when the run was planned, and where it is now."""

    old: str
    new: str

    @classmethod
    def parse(cls, text: str) -> Relocation | None:
        """`OLD=NEW`; None where the text is empty.

        Raises:
            ConfigError: it is not two places.
        """
        if not text:
            return None
        old, equals, new = text.partition("=")
        if not (old and equals and new):
            raise ConfigError(f"--relocate must be OLD=NEW, two folders or URLs, got {text!r}")
        return cls(old=_clean(old), new=_clean(new))

    def to_old(self, uri: str) -> str:
        """The same thing as the plan names it."""
        return _moved(uri, self.new, self.old)

    def to_new(self, uri: str) -> str:
        """Where the thing is now."""
        return _moved(uri, self.old, self.new)

    def as_planned(self, wanted: Plan, found: Plan) -> Plan:
        """The plan of the new place in the names of the old, with the written times of files whose
        sizes agree."""
        before = {file.uri: file for file in found.inputs}
        return replace(
            wanted,
            corpus=_JOINED.join(self.to_old(part) for part in wanted.corpus.split(_JOINED)),
            inputs=tuple(self._input(file, before) for file in wanted.inputs),
            units=tuple(
                replace(unit, uri=self.to_old(unit.uri), file=None) for unit in wanted.units
            ),
            config={
                name: self._setting(value) if name == "corpus" else value
                for name, value in wanted.config.items()
            },
        )

    def require_same_pictures(self, run: RunStore) -> int:
        """Compare pictures of committed rows with what is at the new place; returns how many.

        Raises:
            ConfigError: one is not there, or is another.
        """
        looked_at = 0
        for row in islice(run.iter_annotations(), LOOKED_AT):
            place = self.to_new(row.image_uri)
            if not row.image_sha256 or not place.startswith(self.new):
                continue  # from the web, or from elsewhere
            try:
                found = sha256_bytes(read_image_uri(place))
            except RecordError as error:
                raise ConfigError(f"--relocate: {row.record_id}: {error.detail}") from error
            if found != row.image_sha256:
                raise ConfigError(
                    f"--relocate: {place} is another picture than {row.record_id} was labelled on: "
                    f"its sha256 is {found[:12]}, the row has {row.image_sha256[:12]}"
                )
            looked_at += 1
        return looked_at

    def _input(self, file: InputFile, before: Mapping[str, InputFile]) -> InputFile:
        uri = self.to_old(file.uri)
        planned = before.get(uri)
        etag = planned.etag if planned and planned.size == file.size else file.etag
        return InputFile(uri=uri, size=file.size, etag=etag)

    def _setting(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.to_old(value)
        if isinstance(value, Mapping):
            return {name: self._setting(inner) for name, inner in value.items()}
        return [self._setting(inner) for inner in value] if isinstance(value, list) else value


def write_relocated(run: RunStore, wanted: Plan, text: str) -> tuple[Plan, dict[str, Unit]]:
    """Write the plan of a run, or find it the same at a new place.

    Args:
        run: The run.
        wanted: What this corpus would be planned as.
        text: `OLD=NEW`, or nothing.

    Returns:
        The plan as it is written; and, of a relocated run, the units where they are now, by id.

    Raises:
        ConfigError: the text is wrong, or pictures are others.
        FingerprintMismatch: the run has another plan.
    """
    relocation = Relocation.parse(text)
    if relocation is None or not run.has(PLAN):
        plan = run.write_plan(wanted)
        _remember(run, [Relocation(old=old, new=old) for old in _origins(run)])
        return plan, {}
    plan = run.write_plan(relocation.as_planned(wanted, run.plan()))
    relocation.require_same_pictures(run)
    _remember(run, [relocation])
    return plan, {unit.unit_id: unit for unit in wanted.units}


def moved_places(run: RunStore) -> tuple[tuple[str, str], ...]:
    """Places that the run's rows may name -> where they are now, the longest first.

    Raises:
        DataError: what the run remembers is damaged.
    """
    now: dict[str, str] = {}
    been: dict[str, set[str]] = {}
    for one in _remembered(run):
        for place in been.setdefault(one.old, {one.old}):
            now[place] = one.new
        now.pop(one.new, None)
        been[one.old].add(one.new)
    return tuple(sorted(now.items(), key=lambda pair: -len(pair[0])))


def copy_relocations(old: RunStore, new: RunStore) -> None:
    """What one run remembers, for another with its rows."""
    _remember(new, _remembered(old))


def _remembered(run: RunStore) -> list[Relocation]:
    try:
        data = read_bytes(run.url(RELOCATED))
    except MissingFile:
        return []
    with whole(run.url(RELOCATED), "delete it, and give `glipforge label` its --relocate again"):
        return [
            Relocation(old=_place(raw["old"]), new=_place(raw["new"])) for raw in json.loads(data)
        ]


def _place(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"a place must be a path or URL, got {value!r}")
    return value


def _origins(run: RunStore) -> list[str]:
    """Places that are elsewhere now."""
    newest = {one.old: one.new for one in _remembered(run)}
    return [old for old, new in newest.items() if old != new]


def _remember(run: RunStore, more: list[Relocation]) -> None:
    found = _remembered(run)
    if more and (found or any(one.old != one.new for one in more)):
        said = [{"old": one.old, "new": one.new} for one in [*found, *more]]
        run.write(json.dumps(said, indent=1).encode() + b"\n", RELOCATED)


def _clean(place: str) -> str:
    return local_path(place) if is_local(place) else place.rstrip("/")


def _moved(uri: str, here: str, there: str) -> str:
    return there + uri[len(here) :] if is_at(uri, here) else uri
