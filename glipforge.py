"""Glipforge: the public names of its packages, and the command line `glipforge`.

`from glipforge import Glip, load_teacher, read_run`. A name is imported when it is first used, so
this module alone costs nothing. The packages behind it have general names (`model`, `jobs`); where
another package or file of such a name comes first on the path, this module says so in a sentence.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from model.config import PRESETS, GlipConfig
    from model.files.directory import save_pretrained
    from model.files.pretrained import load_pretrained
    from model.interop.processor import GlipProcessor
    from model.network.glip import Glip
    from model.teacher.load import load_teacher
    from model.teacher.options import TeacherOptions
    from pipeline.corpus import CorpusOptions, open_corpus
    from pipeline.curation.curate import iter_curated
    from pipeline.curation.rules.presets import get_policy
    from pipeline.gold import load_gold
    from pipeline.phrases.extract import extract_phrases
    from pipeline.run.open import open_run as read_run
    from schemas.errors import ConfigError, GlipforgeError
    from schemas.grounder import Grounder, Grounding, GroundingRequest
    from schemas.records import Annotation, CorpusRecord, CuratedRecord, Phrase

__all__ = [
    "PRESETS",
    "Annotation",
    "ConfigError",
    "CorpusOptions",
    "CorpusRecord",
    "CuratedRecord",
    "Glip",
    "GlipConfig",
    "GlipProcessor",
    "GlipforgeError",
    "Grounder",
    "Grounding",
    "GroundingRequest",
    "Phrase",
    "TeacherOptions",
    "extract_phrases",
    "get_policy",
    "iter_curated",
    "load_gold",
    "load_pretrained",
    "load_teacher",
    "main",
    "open_corpus",
    "read_run",
    "save_pretrained",
]

PACKAGES = ("jobs", "model", "pipeline", "schemas")
_HOMES = {
    "PRESETS": "model.config",
    "Annotation": "schemas.records",
    "ConfigError": "schemas.errors",
    "CorpusOptions": "pipeline.corpus",
    "CorpusRecord": "schemas.records",
    "CuratedRecord": "schemas.records",
    "Glip": "model.network.glip",
    "GlipConfig": "model.config",
    "GlipProcessor": "model.interop.processor",
    "GlipforgeError": "schemas.errors",
    "Grounder": "schemas.grounder",
    "Grounding": "schemas.grounder",
    "GroundingRequest": "schemas.grounder",
    "Phrase": "schemas.records",
    "TeacherOptions": "model.teacher.options",
    "extract_phrases": "pipeline.phrases.extract",
    "get_policy": "pipeline.curation.rules.presets",
    "iter_curated": "pipeline.curation.curate",
    "load_gold": "pipeline.gold",
    "load_pretrained": "model.files.pretrained",
    "load_teacher": "model.teacher.load",
    "open_corpus": "pipeline.corpus",
    "read_run": "pipeline.run.open:open_run",
    "save_pretrained": "model.files.directory",
}


class ShadowedPackage(ImportError):
    """Another package or file of the same name comes before one of ours."""


def require_own_packages() -> None:
    """Refuse to run with somebody else's `model` or `jobs`.

    Raises:
        ShadowedPackage: names the package and the file that stands in its place.
    """
    home = Path(__file__).resolve().parent
    for name in PACKAGES:
        try:
            spec = importlib.util.find_spec(name)
        except (ImportError, ValueError):
            spec = None
        found = Path(spec.origin).resolve() if spec and spec.origin else None
        if found is None and spec and spec.submodule_search_locations:
            found = Path(next(iter(spec.submodule_search_locations))).resolve() / "__init__.py"
        if found is None or found.parent.parent != home or found.name != "__init__.py":
            raise ShadowedPackage(
                f"package {name!r} is {found or 'missing'}, not the one of glipforge in {home}: "
                "another of this name comes first; start from another folder, take yours out of "
                "PYTHONPATH, or install glipforge into an environment of its own"
            )


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    try:
        require_own_packages()
    except ShadowedPackage as error:
        print(f"glipforge: {error}", file=sys.stderr)
        return 2
    from jobs.cli import main as run_command

    return run_command(argv)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'glipforge' has no attribute {name!r}")
    require_own_packages()
    home, _, original = _HOMES[name].partition(":")
    value = getattr(importlib.import_module(home), original or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


if __name__ == "__main__":
    raise SystemExit(main())
