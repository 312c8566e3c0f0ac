"""The list of a benchmark's gold sets, with how each is read and asked, and their mean figures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, median
from typing import Any

import yaml

from pipeline.evaluation.result import EvaluationResult
from pipeline.gold import GoldSet, load_gold
from pipeline.storage.files import is_local
from schemas.checked import Count, CountOrZero, checked, from_object
from schemas.errors import ConfigError, reason_of


@checked(frozen=True, kw_only=True)
class Wording:
    """What is asked for in place of a category's name: prefix, name and suffix, as they stand."""

    prefix: str = ""
    name: str = ""
    """In place of the category's own."""
    suffix: str = ""

    def of(self, category: str) -> str:
        """The words that are asked for."""
        return f"{self.prefix}{self.name or category}{self.suffix}".strip()


@checked(frozen=True, kw_only=True)
class SuiteSet:
    """One gold set of a suite."""

    gold: str
    """Path of the gold data; a relative one starts at the suite's file."""
    name: str = ""
    """In the table; the name of the gold file if not given."""
    format: str = "auto"
    image_root: str = ""
    """Where file names start; a relative one starts at the suite's file."""
    label_map: str = ""
    split: str = ""
    prompts: Mapping[str, str | Wording] = field(default_factory=dict)
    """Category -> the words to ask for in place of its name."""
    limit: CountOrZero | None = None
    """Images, evenly spread; 0: all. The suite's, or the command's, if not given."""
    max_names: Count | None = None
    """Names per prompt."""

    def wordings(self) -> dict[str, str]:
        """Category -> words."""
        return {
            category: one.of(category) if isinstance(one, Wording) else one
            for category, one in self.prompts.items()
        }


@checked(frozen=True, kw_only=True)
class Suite:
    """A benchmark of several gold sets."""

    sets: tuple[SuiteSet, ...]

    def __post_init__(self) -> None:
        if not self.sets:
            raise ValueError("sets must name at least one gold set")
        names = [one.name for one in self.sets]
        twice = next((name for name in names if names.count(name) > 1), "")
        if twice:
            raise ValueError(f"sets must have names of their own, got {twice!r} twice")


def read_suite(path: str) -> Suite:
    """The suite in a YAML or JSON file: `sets:` with a `gold:` each.

    Raises:
        ConfigError: the file cannot be read, or a field is wrong.
    """
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"suite {path!r} cannot be read: {reason_of(error)}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"suite {path!r} must be a map with sets, got {content!r:.100}")
    folder = str(Path(path).parent)
    sets = content.get("sets")
    if isinstance(sets, list):
        content = content | {"sets": list(_placed(one, folder) for one in sets)}
    return from_object(Suite, content, where=f"suite {path}: ")


def load_set(one: SuiteSet) -> GoldSet:
    """The gold of a set.

    Raises:
        ConfigError: it is not there, or a prompt is for a category that it has not.
        DataError: it breaks its format.
    """
    gold = load_gold(
        one.gold, one.format, image_root=one.image_root, split=one.split, label_map=one.label_map
    )
    unknown = sorted(set(one.prompts) - set(gold.categories))
    if unknown:
        raise ConfigError(
            f"{one.name}: prompts has {unknown[0]!r}, which is not a category of {one.gold}; "
            f"there is: {', '.join(gold.categories[:20])}"
        )
    return gold


@dataclass(kw_only=True)
class SuiteResult:
    """The figures of each set, and their means over the sets that could be measured."""

    subject: str = ""
    results: dict[str, EvaluationResult] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    """Set -> why it could not be measured."""

    def headline(self, name: str) -> tuple[str, float]:
        """The figure that stands for a set: AP, or R@1 where gold is grounding."""
        result = self.results[name]
        if result.detection is not None:
            return "AP", result.detection.ap.value
        return "R@1", result.recalls[0].recall[1].value

    def means(self) -> dict[str, float]:
        """Mean and median of the headline figures, for each kind of figure."""
        found: dict[str, list[float]] = {}
        for name in self.results:
            kind, value = self.headline(name)
            if not math.isnan(value):
                found.setdefault(kind, []).append(value)
        return {
            f"{what} {kind}": rule(values)
            for kind, values in found.items()
            for what, rule in (("mean", fmean), ("median", median))
        }

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "subject": self.subject,
            "means": self.means(),
            "sets": {name: result.to_dict() for name, result in self.results.items()},
            "failed": self.failed,
        }


def _placed(one: Any, folder: str) -> Any:
    """An entry with its paths below the suite's folder, and with a name."""
    if not isinstance(one, dict):
        return one
    placed = dict(one)
    for key in ("gold", "image_root", "label_map"):
        value = placed.get(key)
        if isinstance(value, str) and value and is_local(value):
            placed[key] = str(Path(folder) / value)
    if isinstance(placed.get("gold"), str) and not placed.get("name"):
        placed["name"] = Path(placed["gold"]).stem
    return placed
