"""What a training run is made of: network, sources, prompts, optimisation; and its presets."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from jobs.typed_json import from_plain, read_json, set_field, to_plain
from model.training.lora import LoraOptions
from model.training.optimizer import OptimizerOptions
from model.training.options import TrainOptions
from pipeline.training_set.mixture import MixtureOptions
from schemas.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSpec:
    """One source of samples: gold data, or a curated run. Exactly one of the two is given."""

    gold: str | None = None
    """Path of gold data."""
    format: str = "auto"
    """Format of `gold`: auto, coco, lvis, mdetr, odvg, flickr30k or imagefolder."""
    image_root: str = ""
    """Where the file names of `gold` start; default: beside the file."""
    curated: str | None = None
    """A run directory that `glipforge filter` went over."""
    policy: str = "default"
    """The policy whose curated records are used."""
    name: str = ""
    """Name in logs; default: the path's last part, or more of it where two end alike."""
    kind: Literal["grounding", "detection"] | None = None
    """How it is shown; default: what the format is."""
    weight: float | None = None
    """Share of the stream; default for all: by the number of samples."""
    weight_by_score: bool = False
    """Curated: a box counts by its score instead of 1."""
    limit: int = 0
    """Use only so many samples, evenly spread; 0: all."""
    shots: int = 0
    """Detection: use only so many images of each name (few-shot); 0: all."""
    shots_seed: int = 0
    """Which images those are."""
    names: tuple[str, ...] = ()
    """Detection: the names that negatives are drawn from; default: the format's categories."""

    def __post_init__(self) -> None:
        if (self.gold is None) == (self.curated is None):
            raise ConfigError(
                f"a source needs either gold or curated, got gold={self.gold!r} and "
                f"curated={self.curated!r}"
            )
        if self.shots < 0:
            raise ConfigError(f"shots must be >= 0, got {self.shots}")
        if self.shots and self.gold is None:
            raise ConfigError("shots is of detection gold; a curated run has no list of names")

    @property
    def label(self) -> str:
        """Name in logs."""
        return self.name or Path(self.path).name

    @property
    def path(self) -> str:
        """Where it is."""
        return self.gold or self.curated or ""


def source_labels(specs: Sequence[SourceSpec], where: str) -> tuple[str, ...]:
    """Distinct names: where two paths end alike, as much of them as tells them apart.

    Raises:
        ConfigError: two sources are given one name, or are one and the same.
    """
    labels = []
    for number, spec in enumerate(specs):
        others = (*specs[:number], *specs[number + 1 :])
        alike = [other for other in others if other.label == spec.label]
        labels.append(_longer_label(spec, alike) if alike and not spec.name else spec.label)
    for label in labels:
        if labels.count(label) > 1:
            raise ConfigError(
                f"{where}: two sources have the name {label!r}; give each another `name`"
            )
    return tuple(labels)


def _longer_label(spec: SourceSpec, others: Sequence[SourceSpec]) -> str:
    place = os.path.abspath(spec.path)
    rest = {os.path.abspath(other.path) for other in others if not other.name}
    if place in rest:
        return f"{spec.label}:{spec.policy}" if spec.curated else spec.label
    parts = Path(place).parts
    for count in range(2, len(parts)):
        end = parts[-count:]
        if all(Path(other).parts[-count:] != end for other in rest):
            return "/".join(end)
    return place


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything that decides what the trained weights will be."""

    preset: str
    """The network, as `glipforge models` lists it."""
    train: TrainOptions
    network: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the preset's configuration that are other than the preset's."""
    sources: tuple[SourceSpec, ...] = ()
    evaluation: tuple[SourceSpec, ...] = ()
    """Held-out gold that the run is measured on while it trains."""
    evaluation_images: int = 200
    """Images of each of them."""
    mixture: MixtureOptions = field(default_factory=MixtureOptions)
    warm_start: str | None = None
    """A model directory whose weights are the start; default: the preset's initialisation."""
    warm_start_partial: bool = False
    """Take over what has the same name and shape, and start the rest at random."""
    word_embeddings: str | None = None
    """An array [vocabulary, text width] (.npy) that the word embeddings start from."""
    export_dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    """What the written model's weights are stored as."""
    lora: LoraOptions | None = None
    """Train low-rank adapters instead of the weights; the written model has them merged in."""
    cache_side: int = 0
    """Keep the decoded images, at most so many pixels on a side, in a file; 0: decode each time."""

    def __post_init__(self) -> None:
        source_labels(self.sources, "sources")
        source_labels(self.evaluation, "evaluation")
        if self.evaluation_images < 1:
            raise ConfigError(f"evaluation_images must be >= 1, got {self.evaluation_images}")
        if self.cache_side < 0:
            raise ConfigError(f"cache_side must be >= 0, got {self.cache_side}")


def load_recipe(
    path: Path | None,
    preset: str | None,
    assignments: tuple[str, ...],
    tuning: Mapping[str, Any] | None = None,
) -> Recipe:
    """The preset's defaults, overlaid by those of a way of tuning (`tuning_defaults`), by a recipe
    file, and by `NAME=VALUE` assignments.

    Raises:
        ConfigError: a field is unknown, missing or of another type.
    """
    raw: dict[str, Any] = {}
    if path is not None:
        parsed = read_json(path)
        if not isinstance(parsed, dict):
            raise ConfigError(f"{path} must hold a JSON object")
        raw = parsed
    if preset is not None:
        raw["preset"] = preset
    name = raw.get("preset") or (tuning or {}).get("preset")
    if name is None:
        raise ConfigError("name a network with --preset, or in the recipe file")
    merged = _merge(_merge(preset_defaults(str(name)), dict(tuning or {})), raw)
    for assignment in assignments:
        set_field(merged, assignment)
    return from_plain(Recipe, merged, "recipe")


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


def recipe_json(recipe: Recipe) -> dict[str, Any]:
    """The whole recipe as JSON: what `--recipe` reads, and what a resume is compared with."""
    plain: dict[str, Any] = to_plain(recipe)
    return plain


def read_recipe(path: Path) -> dict[str, Any]:
    """A run's own `recipe.json`.

    Raises:
        ConfigError: it is missing or damaged.
    """
    plain = read_json(path)
    if not isinstance(plain, dict):
        raise ConfigError(f"{path} must hold a JSON object, got {type(plain).__name__}")
    return plain


NOT_IDENTITY = (
    "evaluation",
    "evaluation_images",
    "train.recompute",
    "train.activation_checkpointing",
    "train.log_every",
    "train.checkpoint_every",
    "train.evaluate_every",
    "train.keep.last",
    "train.keep.every",
    "train.max_unreadable",
)
"""Fields that may differ between a run and its resume."""


def recipe_identity(plain: Mapping[str, Any]) -> dict[str, object]:
    """Every field that decides the weights, by its full name."""
    flat = _flat(plain)
    for name in NOT_IDENTITY:
        flat.pop(name, None)
    return flat


def _flat(plain: Mapping[str, Any], prefix: str = "") -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in plain.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for name, value in over.items():
        old = merged.get(name)
        merged[name] = (
            _merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
        )
    return merged
