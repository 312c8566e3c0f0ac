"""A recipe from a preset's numbers, a way of tuning, a recipe file, and what a command adds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jobs.training.recipe import Recipe, SourceSpec, read_recipe
from model.training.optimizer import OptimizerOptions
from schemas.checked import from_object, to_plain
from schemas.errors import ConfigError


def load_recipe(
    path: Path | None,
    preset: str | None,
    assignments: Sequence[str] = (),
    *,
    tuning: Mapping[str, Any] | None = None,
    changes: Mapping[str, object] | None = None,
    sources: Sequence[SourceSpec] = (),
) -> Recipe:
    """The preset's defaults, then everything else over them, the last one strongest.

    Args:
        path: A recipe file.
        preset: A network; stronger than the file's.
        assignments: `NAME=VALUE` as of --set, stronger than everything.
        tuning: Fields of a way of tuning (`tuning_defaults`), weaker than the file.
        changes: Full name of a field -> its value, stronger than the file.
        sources: Added to those of the file.

    Raises:
        ConfigError: a field is unknown, missing or not what is allowed.
    """
    raw = {} if path is None else read_recipe(path)
    if preset is not None:
        raw["preset"] = preset
    name = raw.get("preset") or (tuning or {}).get("preset")
    if name is None:
        raise ConfigError("name a network with --preset, or in the recipe file")
    merged = _merge(_merge(preset_defaults(str(name)), dict(tuning or {})), raw)
    for field, value in (changes or {}).items():
        put_field(merged, field, value)
    if sources:
        merged["sources"] = [*merged.get("sources", ()), *map(to_plain, sources)]
    _refuse_repetitions(assignments)
    for assignment in assignments:
        set_field(merged, assignment)
    return from_object(Recipe, merged, where="recipe.")


def preset_defaults(preset: str) -> dict[str, Any]:
    """The recipe of a preset, as JSON, without sources.

    The official presets have the numbers of the reference's configs, glip-nano those of its own.
    """
    official: dict[str, Any] = {
        "preset": preset,
        "train": {
            "steps": 300_000,
            "batch_size": 64,
            "precision": "bf16",
            "optimizer": {"rate": 1e-4, "weight_decay": 1e-4},
            "schedule": {"kind": "steps", "warmup_steps": 2000},
        },
        "mixture": {"augment": {"short_sides": [480, 560, 640, 720, 800]}},
    }
    if preset == "glip-l":
        first_stage = ("patch_embed.*", "layers.0.*", "layers.1.downsample.*")
        frozen = [{"pattern": f"backbone.body.{part}", "rate": 0.0} for part in first_stage]
        reference = [to_plain(rule) for rule in OptimizerOptions().rules]
        optimizer = {"rate": 1e-4, "weight_decay": 0.01, "rules": [*reference, *frozen]}
        steps = {"steps": 1_000_000, "precision": "fp32", "optimizer": optimizer}
        return _merge(official, {"train": steps})
    if preset in ("glip-t", "glip-t-a"):
        return official
    return {
        "preset": preset,
        "train": {
            "steps": 20_000,
            "precision": "bf16",
            "batch_size": 32,
            "recompute": False,
            "optimizer": {
                "rate": 1e-3,
                "weight_decay": 0.05,
                "rules": [{"pattern": "*bias*", "decay": 0.0}],
            },
            "schedule": {"kind": "cosine", "warmup_steps": 500},
        },
        "mixture": {
            "detection": {"max_negatives": 20},
            "packing": {"max_foreign": 4},
            "augment": {"side_words": "swap"},
        },
        "cache_side": 128,
    }


def put_field(raw: dict[str, Any], name: str, value: object) -> None:
    """Set `a.b.c` of parsed JSON in place; `NAME+` appends to a list.

    Raises:
        ConfigError: the name leads through something that has no fields.
    """
    *parents, last = name.removesuffix("+").split(".")
    target: Any = raw
    for parent in parents:
        target = target.setdefault(parent, {})
        if not isinstance(target, dict):
            raise ConfigError(f"{name}: {parent!r} has no fields")
    target[last] = [*target.get(last, ()), value] if name.endswith("+") else value


def set_field(raw: dict[str, Any], assignment: str) -> None:
    """Apply `a.b.c=VALUE` of --set to parsed JSON in place; VALUE is JSON, or else taken as text.

    `NAME+=VALUE` appends to a list.

    Raises:
        ConfigError: there is no `=`, or the name leads through something that has no fields.
    """
    name, equals, text = assignment.partition("=")
    if not equals or not name.rstrip("+"):
        raise ConfigError(f"--set needs NAME=VALUE, got {assignment!r}")
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        value = text
    put_field(raw, name, value)


def _refuse_repetitions(assignments: Sequence[str]) -> None:
    given: dict[str, str] = {}
    for assignment in assignments:
        name = assignment.partition("=")[0]
        if name in given and not name.endswith("+"):
            raise ConfigError(
                f"--set {name} was given twice, as {given[name]!r} and {assignment!r}; it is taken "
                "once, and none of them is dropped in silence"
            )
        given[name] = assignment


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for name, value in over.items():
        old = merged.get(name)
        merged[name] = (
            _merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
        )
    return merged
