"""What a plan must be, and the refusal to resume a run under another one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from shlex import quote

from pipeline.run.commit_protocol import ANNOTATIONS, QUARANTINE, data_path
from schemas.errors import ConfigError, DataError, FingerprintMismatch
from schemas.fingerprint import fingerprint, require_same
from schemas.plan import InputFile, Plan, Unit, UnitCommit
from schemas.records import Status

_SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=+-]{0,199}")
_SAFE_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=+-]{0,300}\.parquet")
REMEDY = "Give a new --out, or the old settings: run.json in the directory has them"
MAX_NAMED_INPUTS = 5
_PARSER, _CLASSES, _JOINED = "phrases.extractor", "phrases.classes", "corpus.joined"


def require_same_plan(found: Plan, wanted: Plan, *, where: str) -> None:
    """Go on only where both plans are the same.

    Raises:
        FingerprintMismatch: naming each differing setting or input file, with both values.
    """
    if found == wanted:
        return
    before, now = _fields(found), _fields(wanted)
    changed = _changed_inputs(found.inputs, wanted.inputs)
    before.update({name: old for name, (old, _) in changed.items()})
    now.update({name: new for name, (_, new) in changed.items()})
    _name_classes(before, now)
    renamed = _name_corpora(before, now)
    remedy, source = REMEDY, before.get("corpus.source")
    if isinstance(source, str) and source != now.get("corpus.source"):
        # By default the folder's name, with which ids begin: another one after it was moved.
        remedy = f"Of a corpus that has another name now, give --source {quote(source)}. {REMEDY}"
    if renamed:
        remedy = (
            "Of several corpora each has the name of its folder: give the one that was "
            f"{renamed!r} by a path that ends with it, as a link to the folder. {REMEDY}"
        )
    version = "phrases.extractor_version"
    if before.get(version) != now.get(version) and before.get(_PARSER) == now.get(_PARSER):
        remedy = (
            "This version cuts captions in another way, which no setting changes: go on with the "
            "version of glipforge that began the run, or give a new --out"
        )
    fused = "teacher.fusion.over"
    if before.get(fused) != now.get(fused) and "teacher.fusion.iou" in before.keys() & now.keys():
        remedy = (
            "This version fuses the boxes of an ensemble in another way, which no setting changes: "
            "go on with the version of glipforge that began the run, or give a new --out"
        )
    require_same(before, now, where=where, remedy=remedy)
    raise FingerprintMismatch(
        f"{where}: the plan differs in its units: {fingerprint([u.unit_id for u in found.units])} "
        f"was written, this run has {fingerprint([u.unit_id for u in wanted.units])}. {REMEDY}"
    )


def check_unit_ids(units: Sequence[Unit], where: str = "the plan") -> None:
    """Refuse ids that cannot be file names or occur twice; `where` names the plan.

    Raises:
        ConfigError: naming the unit.
    """
    seen: set[str] = set()
    for unit in units:
        if _SAFE_ID.fullmatch(unit.unit_id) is None:
            raise ConfigError(
                f"{where}: unit_id {unit.unit_id!r} must be letters, digits and . _ = + - only, "
                "at most 200 of them"
            )
        if unit.unit_id in seen:
            raise ConfigError(
                f"{where}: unit_id {unit.unit_id!r} occurs twice: the corpus names {unit.uri!r} "
                "twice"
            )
        seen.add(unit.unit_id)


def check_marker(
    commit: UnitCommit, *, where: str, folders: Sequence[str] = (ANNOTATIONS, QUARANTINE)
) -> None:
    """Refuse a marker whose files are not in the place's own folders: it may come from anybody; and
    one whose values nobody can work with.

    Raises:
        DataError: naming the field, the value and what is allowed.
    """
    for file in commit.files:
        folder, _, name = file.path.rpartition("/")
        if folder not in folders or _SAFE_FILE.fullmatch(name) is None:
            allowed = " or ".join(data_path(folder, "NAME.parquet") for folder in folders)
            raise DataError(
                f"{where}: files.path must be {allowed}, got {file.path!r}; the marker is not one "
                "of this product: delete it, and `glipforge label` does its unit again"
            )
    known = {str(status) for status in Status}
    if unknown := sorted(set(commit.status_counts) - known):
        raise DataError(
            f"{where}: status_counts has {unknown[0]!r}; allowed: {', '.join(sorted(known))}; "
            "delete the marker, and `glipforge label` does its unit again"
        )
    try:
        datetime.fromisoformat(commit.finished_at)
    except ValueError as error:
        raise DataError(
            f"{where}: finished_at must be a time, got {commit.finished_at!r}; delete the marker, "
            "and `glipforge label` does its unit again"
        ) from error
    if _SAFE_ID.fullmatch(commit.attempt) is None:
        raise DataError(
            f"{where}: attempt must be letters, digits and . _ = + - only, got {commit.attempt!r}; "
            "the marker is not one of this product: delete it, and `glipforge label` does its "
            "unit again"
        )


def _fields(plan: Plan) -> dict[str, object]:
    settings = _flat(plan.config, "")
    return settings | {
        "corpus": plan.corpus,
        "corpus_format": plan.corpus_format,
        "number of input files": len(plan.inputs),
        "number of units": len(plan.units),
        "plan version": plan.version,
    }


def _flat(value: object, name: str) -> dict[str, object]:
    if not isinstance(value, Mapping):
        return {name: value}
    flat: dict[str, object] = {}
    for key, inner in value.items():
        flat |= _flat(inner, f"{name}.{key}" if name else str(key))
    return flat


def _name_corpora(before: dict[str, object], now: dict[str, object]) -> str:
    """The settings of several corpora become those of each; the first name that is gone."""
    found, wanted = before.get(_JOINED), now.get(_JOINED)
    if not (isinstance(found, list) and isinstance(wanted, list) and len(found) == len(wanted)):
        return ""
    for fields, corpora in ((before, found), (now, wanted)):
        del fields[_JOINED]
        for number, one in enumerate(corpora, 1):
            fields.update(_flat(one, f"corpus {number}"))
    names = {one.get("source") for one in wanted}
    return next((str(one["source"]) for one in found if one["source"] not in names), "")


def _name_classes(before: dict[str, object], now: dict[str, object]) -> None:
    """Two class lists become those of their classes that differ: a list may have thousands."""
    found, wanted = before.get(_CLASSES), now.get(_CLASSES)
    if found == wanted or not isinstance(found, list) or not isinstance(wanted, list):
        return
    del before[_CLASSES], now[_CLASSES]
    old, new = ({one["name"]: _asked_as(one) for one in classes} for classes in (found, wanted))
    names = [name for name in dict.fromkeys([*old, *new]) if old.get(name) != new.get(name)]
    for name in names[:MAX_NAMED_INPUTS]:
        before[f"{_CLASSES} {name!r}"] = old.get(name, "not there")
        now[f"{_CLASSES} {name!r}"] = new.get(name, "not there")
    if len(names) > MAX_NAMED_INPUTS:
        now[f"{_CLASSES}, more"] = f"{len(names) - MAX_NAMED_INPUTS} others"
    if not names:
        place = next(i for i, pair in enumerate(zip(old, new, strict=True)) if len(set(pair)) > 1)
        before[f"{_CLASSES}, number {place + 1}"] = [*old][place]
        now[f"{_CLASSES}, number {place + 1}"] = [*new][place]


def _asked_as(entry: Mapping[str, Sequence[str]]) -> str:
    return ", ".join([*entry["wordings"], *(f"-{word}" for word in entry["competitors"])])


def _changed_inputs(
    found: tuple[InputFile, ...], wanted: tuple[InputFile, ...]
) -> dict[str, tuple[str | None, str | None]]:
    before = {file.uri: f"{file.size} bytes, {file.etag}" for file in found}
    now = {file.uri: f"{file.size} bytes, {file.etag}" for file in wanted}
    names = [name for name in sorted(before | now) if before.get(name) != now.get(name)]
    shown: dict[str, tuple[str | None, str | None]] = {
        f"input {name}": (before.get(name, "not there"), now.get(name, "not there"))
        for name in names[:MAX_NAMED_INPUTS]
    }
    if len(names) > MAX_NAMED_INPUTS:
        shown["more input files"] = (None, f"{len(names) - MAX_NAMED_INPUTS} others changed")
    return shown
