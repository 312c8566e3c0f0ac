"""Which images a run took: whoever opens them again asks by the same limits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields

from pipeline.images.decode import ImageLimits
from pipeline.run.store import RunStore


def image_limits(run: RunStore) -> ImageLimits:
    """The limits that the run's images were labelled under, of its plan."""
    limits = run.plan().config.get("limits")
    image = limits.get("image") if isinstance(limits, Mapping) else None
    if not isinstance(image, Mapping):
        return ImageLimits()
    known = {entry.name for entry in fields(ImageLimits)}
    return ImageLimits(**{name: value for name, value in image.items() if name in known})


def widest_limits(limits: Iterable[ImageLimits]) -> ImageLimits:
    """Limits under which every image passes that passes under one of these, or by default."""
    every = [ImageLimits(), *limits]
    found = {}
    for entry in fields(ImageLimits):
        widest = min if entry.name.startswith("min_") else max
        found[entry.name] = widest(getattr(one, entry.name) for one in every)
    return ImageLimits(**found)
