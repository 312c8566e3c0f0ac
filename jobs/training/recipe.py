"""What a training run is made of: network, sources, prompts, optimisation; and its presets."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any, Literal

from model.training.lora import LoraOptions
from model.training.options import TrainOptions
from pipeline.training_set.mixture import MixtureOptions
from schemas.checked import Count, CountOrZero, checked, read_object, to_plain
from schemas.errors import ConfigError


@checked(frozen=True, slots=True, kw_only=True)
class SourceSpec:
    """One source of samples: gold data, or a curated run. Exactly one of the two is given."""

    gold: str | None = None
    """Path of gold data."""
    format: str = "auto"
    """Format of `gold`: auto, coco, lvis, mdetr, odvg, flickr30k or imagefolder."""
    image_root: str = ""
    """Where the file names of `gold` start; default: beside the file."""
    curated: str | None = None
    """A run directory whose labels `glipforge filter` has chosen."""
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
    limit: CountOrZero = 0
    """Use only so many samples, evenly spread; 0: all."""
    shots: CountOrZero = 0
    """Detection: use only so many images of each name (few-shot); 0: all."""
    shots_seed: CountOrZero = 0
    """Which images those are."""
    names: tuple[str, ...] = ()
    """Detection: the names that negatives are drawn from; default: the format's categories."""

    def __post_init__(self) -> None:
        if (self.gold is None) == (self.curated is None):
            raise ValueError(
                f"a source needs either gold or curated, got gold={self.gold!r} and "
                f"curated={self.curated!r}"
            )
        if self.shots and self.gold is None:
            raise ValueError("shots goes with detection gold; a curated run has no list of names")

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


@checked(frozen=True, slots=True, kw_only=True)
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
    evaluation_images: Count = 200
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
    cache_side: CountOrZero = 0
    """Keep the decoded images, at most so many pixels on a side, in a file; 0: decode each time."""

    def __post_init__(self) -> None:
        source_labels(self.sources, "sources")
        source_labels(self.evaluation, "evaluation")


def recipe_json(recipe: Recipe) -> dict[str, Any]:
    """The whole recipe as JSON: what `--recipe` reads, and what a resume is compared with."""
    plain: dict[str, Any] = to_plain(recipe)
    return plain


def read_recipe(path: Path) -> dict[str, Any]:
    """A run's own `recipe.json`.

    Raises:
        ConfigError: it is missing or damaged.
    """
    return read_object(path)


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
