"""Reads the sources of a recipe, and says what was left out of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from jobs.training.recipe import SourceSpec, source_labels
from pipeline.training_set.mixture import TrainingSource
from schemas.errors import ConfigError
from schemas.fingerprint import fingerprint
from schemas.records import TrainingSample
from schemas.spread import evenly_spread


def load_sources(
    specs: Sequence[SourceSpec],
) -> tuple[tuple[TrainingSource, ...], dict[str, dict[str, int]]]:
    """The samples of every source, and for each source the counts of its import.

    Raises:
        ConfigError: a source is missing, or nothing of it can be used.
    """
    if not specs:
        raise ConfigError("nothing to train on: name sources with --gold, --curated or a recipe")
    sources, counts = [], {}
    for label, spec in zip(source_labels(specs, "sources"), specs, strict=True):
        source, counted = _load(replace(spec, name=label))
        found = ", ".join(f"{name}: {number:,}" for name, number in counted.items())
        if not source.samples:
            why = found or (
                "its policy keeps none; name another with --curated RUN:POLICY"
                if spec.curated
                else "it holds none"
            )
            raise ConfigError(f"source {label!r} has no usable sample: {why}")
        if source.kind == "detection" and not any(sample.boxes for sample in source.samples):
            said = f"; {found}" if found else ""
            raise ConfigError(f"source {label!r} has images and no annotation{said}")
        sources.append(source)
        counts[label] = dict(counted)
    return tuple(sources), counts


def sources_fingerprint(sources: Sequence[TrainingSource]) -> dict[str, str]:
    """One hash for each source: of every sample's id, caption, boxes and spans, in order."""
    return {
        source.name: fingerprint(
            [
                [s.sample_id, s.caption, s.boxes, s.spans, s.weights, s.negative_spans]
                for s in source.samples
            ]
        )
        for source in sources
    }


def _load(spec: SourceSpec) -> tuple[TrainingSource, Counter[str]]:
    counts: Counter[str] = Counter()
    samples: tuple[TrainingSample, ...]
    names, exhaustive, kind = spec.names, True, spec.kind or "grounding"
    if spec.gold is not None:
        from pipeline.gold import load_gold
        from pipeline.gold.checks import clean_name
        from pipeline.training_set.nameless import without_nameless

        gold = load_gold(spec.gold, spec.format, image_root=spec.image_root)
        samples = tuple(without_nameless(sample, counts) for sample in gold.samples)
        cleaned = (clean_name(category) for category in gold.categories)
        names = spec.names or tuple(name for name in cleaned if name)
        exhaustive = gold.is_exhaustive
        kind = spec.kind or ("detection" if gold.kind == "detection" else "grounding")
        counts.update(gold.counts)
    else:
        from pipeline.curation.curate import find_curated, iter_curated, read_curate_stats
        from pipeline.run.store import RunStore
        from pipeline.training_set.curated import curated_samples

        run = RunStore(spec.path)
        if run.is_local and not Path(run.uri).exists():
            raise ConfigError(f"curated run {spec.path!r} does not exist")
        run.plan()  # else a path with no run would be one without a curation
        done = read_curate_stats(run, find_curated(run, spec.policy))
        exhaustive = False  # a caption does not name everything that is in its image
        samples = tuple(
            curated_samples(
                iter_curated(run, spec.policy),
                counts,
                weight_by_score=spec.weight_by_score,
                negative_below=done.negative_below,
            )
        )
    if spec.shots:
        if kind != "detection":
            raise ConfigError(
                f"source {spec.label!r}: shots goes with detection gold, this is {kind}"
            )
        from pipeline.training_set.few_shot import few_shot

        samples = few_shot(samples, spec.shots, spec.shots_seed)
    samples = evenly_spread(samples, spec.limit)
    return (
        TrainingSource(
            name=spec.label,
            samples=samples,
            kind=kind,
            weight=spec.weight,
            exhaustive=exhaustive,
            names=names if kind == "detection" else (),
        ),
        counts,
    )
