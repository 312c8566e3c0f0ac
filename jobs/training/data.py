"""From a recipe's sources to the stream of examples: prompts, images, cache."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jobs.training.recipe import Recipe
from pipeline.images.access import ANYTHING, ImageAccess
from pipeline.images.address import file_version
from pipeline.images.decode import ImageLimits, decode_image
from pipeline.images.fetch import read_image_uri
from pipeline.run.limits import image_access, image_limits, widest_limits
from pipeline.run.store import RunStore
from pipeline.training_set.cache import build_cache
from pipeline.training_set.mixture import TrainingMixture, TrainingSource
from pipeline.training_set.pictures import PictureLoader, of_size, require_readable
from schemas.errors import ConfigError, os_sentence

if TYPE_CHECKING:
    from model.inputs.tokenizer import GlipTokenizer

NUM_SPECIAL = 2  # [CLS] and [SEP]
DEFAULT_LIMITS = ImageLimits()


def build_mixture(
    recipe: Recipe,
    sources: Sequence[TrainingSource],
    tokenizer: GlipTokenizer,
    cache_root: Path,
    say: Callable[[str], None],
) -> TrainingMixture:
    """The stream of examples; fills the image cache first if the recipe has one.

    Raises:
        ConfigError: the cache cannot be written, or the sources do not go together.
        DataError: too many pictures of a source cannot be read, or have another size than it says.
    """
    guarded = guarded_images(recipe, sources)
    read = partial(_read_guarded, limits=_limits(recipe), guarded=guarded)
    load: PictureLoader = of_size(read)
    if recipe.cache_side:
        uris = [sample.image_uri for source in sources for sample in source.samples]
        try:
            load = build_cache(
                cache_root,
                uris,
                read,
                side=recipe.cache_side,
                version=lambda uri: file_version(guarded.get(uri, ANYTHING).now(uri)),
                progress=lambda done, total: say(f"image cache: {done} of {total}"),
            )
        except OSError as error:
            raise ConfigError(
                f"the image cache {cache_root} cannot be written: {os_sentence(error)}; name "
                "another place with --cache, or do without: --set cache_side=0"
            ) from error
    for source in sources:
        left_out = require_readable(source.name, source.samples, load, recipe.train.max_unreadable)
        if left_out:
            say(left_out)
    return TrainingMixture(
        sources,
        recipe.mixture,
        load_image=load,
        count_tokens=partial(count_tokens, tokenizer),
        seed=recipe.train.seed,
    )


def count_tokens(tokenizer: GlipTokenizer, text: str) -> int:
    """Word pieces of a text, without [CLS] and [SEP]."""
    return len(tokenizer.tokenize(text)) - NUM_SPECIAL


def _limits(recipe: Recipe) -> ImageLimits:
    """Under which every image is read that a curated run was labelled with."""
    curated = [spec.curated for spec in recipe.sources if spec.curated is not None]
    return widest_limits(image_limits(RunStore(uri)) for uri in curated)


def guarded_images(recipe: Recipe, sources: Sequence[TrainingSource]) -> dict[str, ImageAccess]:
    """Images that untrusted corpora alone name, or that are elsewhere now -> what their run may
    read."""
    guarded: dict[str, ImageAccess] = {}
    trusted: set[str] = set()
    for spec, source in zip(recipe.sources, sources, strict=True):
        access = image_access(RunStore(spec.curated)) if spec.curated else ANYTHING
        uris = (sample.image_uri for sample in source.samples)
        if access.untrusted or access.moved:
            guarded.update(dict.fromkeys(uris, access))
        else:
            trusted.update(uris)
    return {uri: access for uri, access in guarded.items() if uri not in trusted}


def _read_guarded(
    uri: str, *, limits: ImageLimits, guarded: Mapping[str, ImageAccess]
) -> NDArray[np.uint8]:
    return read_image(uri, limits=limits, access=guarded.get(uri, ANYTHING))


def read_image(
    uri: str, *, limits: ImageLimits = DEFAULT_LIMITS, access: ImageAccess = ANYTHING
) -> NDArray[np.uint8]:
    """Pixels of a training image: uint8 RGB [height, width, 3].

    Raises:
        RecordError: it cannot be read or decoded.
    """
    array: NDArray[np.uint8] = decode_image(read_image_uri(uri, access=access), limits).array
    return array


def describe_sources(
    mixture: TrainingMixture,
    fingerprints: Mapping[str, str],
    counts: Mapping[str, Mapping[str, int]],
) -> dict[str, dict[str, Any]]:
    """What the model card says about each source."""
    return {
        source.name: {
            "kind": source.kind,
            "samples": len(source.samples),
            "share": quota,
            "fingerprint": fingerprints[source.name],
            "counts": counts[source.name],
        }
        for source, quota in zip(mixture.sources, mixture.order.quotas, strict=True)
    }
