"""The training stream: sources with weights, prompts and augmentation, addressed by position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.training_set.augment import AugmentOptions, crop, draw_short_side, flip, relight
from pipeline.training_set.caption_packing import (
    CaptionPackingOptions,
    foreign_count,
    pack_captions,
)
from pipeline.training_set.detection_prompts import (
    DetectionPromptOptions,
    NameVocabulary,
    TokenCounter,
    absent_names_of,
    check_all_fit,
    detection_prompt,
    names_of,
)
from pipeline.training_set.example import Prompt, TrainingExample, check_sample, sample_prompt
from pipeline.training_set.mosaic import PARTS, captions_disagree, mosaic
from pipeline.training_set.order import Draw, StreamOrder, rng_at
from pipeline.training_set.pictures import PictureLoader
from schemas.checked import checked
from schemas.errors import ConfigError, RecordError
from schemas.records import TrainingSample

SourceKind = Literal["grounding", "detection"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSource:
    """Samples that are shown in one way."""

    name: str
    samples: Sequence[TrainingSample]
    kind: SourceKind = "grounding"
    """`grounding` shows the caption; `detection` makes a prompt from the boxes' names."""
    weight: float | None = None
    """Share of the stream; None: by the number of samples, so that every sample comes equally
    often. Either all sources have a weight or none has."""
    exhaustive: bool = True
    """Detection: every name is boxed wherever it occurs, so an absent one is a negative."""
    names: tuple[str, ...] = ()
    """Detection: the names that negatives are drawn from; empty: all that occur in the samples."""


@checked(frozen=True, slots=True, kw_only=True)
class MixtureOptions:
    """How samples become examples."""

    detection: DetectionPromptOptions = field(default_factory=DetectionPromptOptions)
    packing: CaptionPackingOptions = field(default_factory=CaptionPackingOptions)
    augment: AugmentOptions = field(default_factory=AugmentOptions)


class TrainingMixture:
    """All sources as one endless, stateless stream of examples.

    Args:
        sources: At least one, with distinct names.
        options: Prompts and augmentation.
        load_image: Reads one picture, perhaps made smaller as a whole: boxes follow it.
        count_tokens: Word pieces of a text, for the budgets.
        seed: With the position it decides everything that is drawn.

    Raises:
        DataError: a sample breaks the contract.
        ConfigError: no source, an empty one, equal names, or weights for only some.
    """

    def __init__(
        self,
        sources: Sequence[TrainingSource],
        options: MixtureOptions,
        *,
        load_image: PictureLoader,
        count_tokens: TokenCounter,
        seed: int,
    ) -> None:
        _check_sources(sources)
        self.sources = tuple(sources)
        self.options = options
        self._load_image = load_image
        self._count_tokens = count_tokens
        self._seed = seed
        shares = [float(len(s.samples)) if s.weight is None else s.weight for s in sources]
        self.order = StreamOrder([len(source.samples) for source in sources], shares, seed)
        self._vocabularies = [self._vocabulary(source) for source in sources]

    def __len__(self) -> int:
        """Samples of all sources: the positions of one nominal epoch."""
        return sum(len(source.samples) for source in self.sources)

    def example(self, position: int) -> TrainingExample:
        """What stands at `position` of the stream; a picture that cannot be read is named there,
        and no other sample takes its place."""
        place = self.order.at(position)
        try:
            return self._example(place, rng_at(self._seed, position))
        except RecordError as error:
            source = self.sources[place.source]
            sample_id = source.samples[place.index].sample_id
            return TrainingExample.unreadable(sample_id, source.name, str(error))

    def _example(self, place: Draw, rng: np.random.Generator) -> TrainingExample:
        augment = self.options.augment
        source = self.sources[place.source]
        sample, image = self._picture(source, place.index, rng)
        example = TrainingExample(
            sample_id=sample.sample_id,
            source=source.name,
            image=image,
            prompt=_rescale(self._prompt(sample, place.source, rng), sample, image),
        )
        # Flipped before packing: the words of foreign captions do not speak about this image.
        example = flip(example, augment, rng)
        if source.kind == "grounding":
            example = replace(example, prompt=self._pack(example.prompt, source, rng))
        example = relight(crop(example, augment, rng), augment, rng)
        return replace(example, short_side=draw_short_side(augment, rng))

    def _picture(
        self, source: TrainingSource, index: int, rng: np.random.Generator
    ) -> tuple[TrainingSample, NDArray[np.uint8]]:
        sample = source.samples[index]
        image = self._load(sample)
        if rng.random() >= self.options.augment.mosaic_share:
            return sample, image
        others = rng.integers(len(source.samples), size=PARTS - 1)
        parts = [sample, *(source.samples[int(other)] for other in others)]
        if source.kind == "grounding" and captions_disagree(parts):
            return sample, image
        return mosaic(parts, [image, *map(self._load, parts[1:])])

    def _load(self, sample: TrainingSample) -> NDArray[np.uint8]:
        return self._load_image(sample.image_uri, (sample.width, sample.height))

    def _prompt(self, sample: TrainingSample, source: int, rng: np.random.Generator) -> Prompt:
        vocabulary = self._vocabularies[source]
        if vocabulary is None:
            return sample_prompt(sample)
        return detection_prompt(
            sample,
            vocabulary,
            self.options.detection,
            rng,
            exhaustive=self.sources[source].exhaustive,
        )

    def _pack(self, prompt: Prompt, source: TrainingSource, rng: np.random.Generator) -> Prompt:
        wanted = foreign_count(self.options.packing, rng)
        if wanted == 0:
            return prompt
        picks = rng.integers(len(source.samples), size=wanted)
        foreign = [source.samples[int(pick)].caption for pick in picks]
        return pack_captions(prompt, foreign, self.options.packing, self._count_tokens, rng)

    def _vocabulary(self, source: TrainingSource) -> NameVocabulary | None:
        if source.kind == "grounding":
            return None
        seen: set[str] = set()
        for sample in source.samples:
            seen.update(name for group in names_of(sample) for name in group)
            seen.update(absent_names_of(sample))
        vocabulary = NameVocabulary.build(
            source.names or sorted(seen),
            seen,
            self._count_tokens,
            self.options.detection.separator,
        )
        check_all_fit(vocabulary, self.options.detection, exhaustive=source.exhaustive)
        return vocabulary


def _rescale(prompt: Prompt, sample: TrainingSample, image: NDArray[np.uint8]) -> Prompt:
    height, width = image.shape[:2]
    if (width, height) == (sample.width, sample.height):
        return prompt
    x, y = width / sample.width, height / sample.height
    return replace(prompt, boxes=prompt.boxes * np.array([x, y, x, y], dtype=np.float32))


def _check_sources(sources: Sequence[TrainingSource]) -> None:
    names = [source.name for source in sources]
    if not names:
        raise ConfigError("the mixture has no source")
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"two sources have the name {name!r}")
    weighted = [source.name for source in sources if source.weight is not None]
    if weighted and len(weighted) < len(sources):
        raise ConfigError(
            f"weights are given for {', '.join(weighted)} but not for "
            f"{', '.join(n for n in names if n not in weighted)}; give all or none"
        )
    for source in sources:
        if source.kind not in ("grounding", "detection"):
            raise ConfigError(
                f"source {source.name!r}: kind must be grounding or detection, got {source.kind!r}"
            )
        if not source.samples:
            raise ConfigError(f"source {source.name!r} has no usable sample")
        for sample in source.samples:
            check_sample(sample)
