"""A run goes on with its corpus at another place, or with other times of the same files.

The run remembers where its corpus went, so that whoever opens its images finds them there.

The plan stays as it was written: what the new place gives is named as at the old one, and compared.
Times of files are not, where their sizes agree; that the content does is seen at pictures whose
hashes are in the rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from pipeline.images.access import is_at, scheme_of
from pipeline.images.fetch import read_image_uri
from pipeline.run.commit_protocol import ANNOTATIONS, folder_of
from pipeline.run.store import PLAN, RunStore
from pipeline.storage.errors import MissingFile
from pipeline.storage.files import is_local, local_path, read_bytes
from schemas.damage import whole
from schemas.errors import ConfigError, RecordError
from schemas.fingerprint import sha256_bytes
from schemas.plan import InputFile, Plan, Unit
from schemas.records import Annotation

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
    def parse(cls, text: str, planned: Iterable[str] = ()) -> Relocation:
        """`OLD=NEW`; where names have the sign too, OLD is the place that the plan names.

        Args:
            text: The two places.
            planned: Addresses of a plan.

        Raises:
            ConfigError: it is not two places.
        """
        cuts = [number for number, letter in enumerate(text) if letter == "="]
        pairs = [(text[:cut], text[cut + 1 :]) for cut in cuts if text[:cut] and text[cut + 1 :]]
        pairs.sort(key=lambda pair: not _is_whole(pair[1]))  # `/a/dt=1=/b/dt=1` is not of `1=/b...`
        found = [cls(old=_clean(old), new=_clean(new)) for old, new in pairs]
        if not found:
            raise ConfigError(f"--relocate must be OLD=NEW, two folders or URLs, got {text!r}")
        if len(found) > 1:
            known = tuple(planned)
            found.sort(key=lambda one: not any(is_at(uri, one.old) for uri in known))
        return found[0]


@dataclass(frozen=True, slots=True)
class Relocations:
    """Moves that are made together; of places within each other the inner one counts."""

    moves: tuple[Relocation, ...]

    def require_apart(self) -> None:
        """Refuse what would leave open where an address of a row is now.

        Raises:
            ConfigError: one place is said to be at two, or two have followed each other.
        """
        olds = [one.old for one in self.moves]
        for number, one in enumerate(self.moves):
            if one.old in olds[:number]:
                raise ConfigError(f"--relocate names {one.old} twice; it is at one place now")
            if one.new in olds and one.new != one.old:
                raise ConfigError(
                    f"--relocate: {one.old} is where {one.new} was, so that rows that name "
                    f"{one.new} could mean both; give it a place of its own"
                )

    def to_old(self, uri: str) -> str:
        """The same thing as the plan names it."""
        return _moved(uri, [(one.new, one.old) for one in self.moves])

    def to_new(self, uri: str) -> str:
        """Where the thing is now; it may be named as it is there already."""
        there = [(one.new, one.new) for one in self.moves]
        return _moved(uri, [*((one.old, one.new) for one in self.moves), *there])

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
        """Compare pictures of committed rows with what is at the new places; returns how many.

        Raises:
            ConfigError: one is not there, or is another.
        """
        return sum(self._compare(islice(self._rows_of(run, one), LOOKED_AT)) for one in self.moves)

    def _rows_of(self, run: RunStore, move: Relocation) -> Iterator[Annotation]:
        """Committed rows of units that moved; where files only name moved pictures, of all."""
        commits = run.commits()
        units = [unit for unit in run.plan().units if unit.unit_id in commits]
        moved = [unit for unit in units if is_at(unit.uri, move.old)]
        for unit in moved or units:
            commit = commits[unit.unit_id]
            for file in commit.files:
                if folder_of(file.path) == ANNOTATIONS:
                    yield from run.read_rows(commit, file)

    def _compare(self, rows: Iterable[Annotation]) -> int:
        looked_at = 0
        for row in rows:
            place = self.to_new(row.image_uri)
            if not row.image_sha256 or not any(is_at(place, one.new) for one in self.moves):
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


def write_relocated(
    run: RunStore, wanted: Plan, texts: Sequence[str]
) -> tuple[Plan, dict[str, Unit]]:
    """Write the plan of a run, or find it the same at new places.

    Args:
        run: The run.
        wanted: What this corpus would be planned as.
        texts: `OLD=NEW` of each place that moved.

    Returns:
        The plan as it is written; and, of a relocated run, the units where they are now, by id.

    Raises:
        ConfigError: a text is wrong, or pictures are others.
        FingerprintMismatch: the run has another plan.
    """
    if not texts or not run.has(PLAN):
        for text in texts:
            Relocation.parse(text)
        plan = run.write_plan(wanted)
        # That the plan is the same says nothing of pictures that its files only name.
        back = [old for old in _origins(run) if any(is_at(uri, old) for uri in _planned(plan))]
        _remember(run, [Relocation(old=old, new=old) for old in back])
        return plan, {}
    found = run.plan()
    relocations = Relocations(tuple(Relocation.parse(text, _planned(found)) for text in texts))
    relocations.require_apart()
    plan = run.write_plan(relocations.as_planned(wanted, found))
    relocations.require_same_pictures(run)
    _remember(run, list(relocations.moves))
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
    for new in set(now.values()):
        if any(is_at(new, place) for place in now):
            now.setdefault(new, new)  # below a place that moved: addresses of it are right
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


def _planned(plan: Plan) -> list[str]:
    """Addresses that a plan names."""
    return [*plan.corpus.split(_JOINED), *(file.uri for file in plan.inputs)]


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


def _is_whole(place: str) -> bool:
    """An absolute path or a URL."""
    return place.startswith("/") or bool(scheme_of(place).isalnum())


def _moved(uri: str, places: Iterable[tuple[str, str]]) -> str:
    """The address with another beginning: of the longest of the places that it is at."""
    fits = [(here, there) for here, there in places if is_at(uri, here)]
    here, there = max(fits, key=lambda pair: len(pair[0]), default=("", ""))
    return there + uri[len(here) :]
