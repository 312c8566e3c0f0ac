"""Which images a run took, and from where: whoever opens them again asks by the same limits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace

from pipeline.images.access import ImageAccess
from pipeline.images.decode import ImageLimits
from pipeline.run.relocation import moved_places
from pipeline.run.store import RunStore
from pipeline.storage.url_patterns import fixed_folder, has_braces, has_glob
from schemas.plan import InputFile


def image_limits(run: RunStore) -> ImageLimits:
    """The limits that the run's images were labelled under, of its plan."""
    limits = run.plan().config.get("limits")
    image = limits.get("image") if isinstance(limits, Mapping) else None
    if not isinstance(image, Mapping):
        return ImageLimits()
    known = {entry.name for entry in fields(ImageLimits)}
    return ImageLimits(**{name: value for name, value in image.items() if name in known})


def image_access(*runs: RunStore) -> ImageAccess:
    """What the runs' images may be read from: where one labelled an untrusted corpus, only what
    lies below their corpora, and public addresses. What moved is read where it is now."""
    is_untrusted, roots = False, list[str]()
    moved = dict[str, str]()
    for run in runs:
        moved.update(moved_places(run))
        plan = run.plan()
        corpus = plan.config.get("corpus")
        options = corpus if isinstance(corpus, Mapping) else {}
        parts = options.get("joined", [options])
        for uri, part in zip(plan.corpus.split(" + "), parts, strict=False):
            is_untrusted |= bool(part.get("untrusted"))
            roots.append(str(part.get("image_root") or _root(uri, plan.inputs)))
    places = ImageAccess(moved=tuple(moved.items()))
    if not is_untrusted:
        return places
    roots += [there for root in roots if (there := places.now(root)) != root]
    return replace(places, untrusted=True, root=roots[0], others=tuple(roots[1:]))


def _root(uri: str, inputs: Iterable[InputFile]) -> str:
    """The folder of a corpus that a plan names."""
    if has_braces(uri) or has_glob(uri):
        return fixed_folder(uri)
    prefix = uri.rstrip("/") + "/"
    is_folder = any(file.uri.startswith(prefix) for file in inputs)
    return uri if is_folder else uri.rpartition("/")[0]


def widest_limits(limits: Iterable[ImageLimits]) -> ImageLimits:
    """Limits under which every image passes that passes under one of these, or by default."""
    every = [ImageLimits(), *limits]
    found = {}
    for entry in fields(ImageLimits):
        widest = min if entry.name.startswith("min_") else max
        found[entry.name] = widest(getattr(one, entry.name) for one in every)
    return ImageLimits(**found)
