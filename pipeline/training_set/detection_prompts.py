"""Detection labels as prompts: the image's names among sampled others, "cat. dog. bicycle".

The rule is the one of GLIP's pre-training (microsoft/GLIP, `od_to_grounding.py`), without its
habit of drawing the background class as a name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipeline.training_set.example import Prompt
from schemas.checked import Count, CountOrZero, Share, checked
from schemas.errors import ConfigError
from schemas.records import Span, TrainingSample

TokenCounter = Callable[[str], int]
"""Number of word pieces of a text, [CLS] and [SEP] not counted."""


@checked(frozen=True, slots=True, kw_only=True)
class DetectionPromptOptions:
    """How many other names stand in a detection prompt."""

    choice: Literal["sampled", "all"] = "sampled"
    """`all`: every name of the source, in its order, for small sets; the numbers below are then
    not used."""
    max_negatives: CountOrZero = 85
    """Names drawn besides the image's own."""
    full_share: Share = 0.5
    """Share of the prompts that get all of them; the others get a uniform number from 1."""
    token_budget: Count = 254
    """Word pieces of the whole prompt, separators included, [CLS] and [SEP] not."""
    separator: str = ". "
    """Stands between two names, not after the last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NameVocabulary:
    """The names of a source, each with its length in word pieces, separator included."""

    names: tuple[str, ...]
    lengths: Mapping[str, int]

    @classmethod
    def build(
        cls,
        names: Iterable[str],
        also: Iterable[str],
        count_tokens: TokenCounter,
        separator: str,
    ) -> NameVocabulary:
        """Measure every name once.

        Args:
            names: What negatives are drawn from; duplicates are taken once, in this order.
            also: Names that occur in samples, measured but not drawn unless in `names`.
            count_tokens: Measures a text.
            separator: Counted with every name.
        """
        unique = tuple(dict.fromkeys(names))
        extra = count_tokens(separator)
        measured = {*unique, *also}
        return cls(names=unique, lengths={n: count_tokens(n) + extra for n in measured})


def names_of(sample: TrainingSample) -> list[tuple[str, ...]]:
    """The names of each box: the texts of its spans."""
    return [tuple(sample.caption[a:b] for a, b in spans) for spans in sample.spans]


def absent_names_of(sample: TrainingSample) -> list[str]:
    """Names that are known to have no box in the image."""
    return [sample.caption[start:end] for start, end in sample.negative_spans]


def detection_prompt(
    sample: TrainingSample,
    vocabulary: NameVocabulary,
    options: DetectionPromptOptions,
    rng: np.random.Generator,
    *,
    exhaustive: bool = True,
) -> Prompt:
    """The sample's boxes under a prompt of its names and sampled others, in random order.

    Args:
        sample: Its boxes are named by the texts of their spans.
        vocabulary: Where other names are drawn from.
        options: Numbers and budget.
        rng: Belongs to the sample's position.
        exhaustive: True where every name of the vocabulary is boxed wherever it occurs. False
            (LVIS, web data): only names that the sample itself declares absent are negatives.
    """
    drops: Counter[str] = Counter()
    names = names_of(sample)
    if options.choice == "all":
        return _named(sample, names, *_join(vocabulary.names, options.separator), drops)
    present = dict.fromkeys(name for group in names for name in group)
    positives, budget = _fit(_shuffled(present, rng), vocabulary, options)
    pool: Sequence[str] = vocabulary.names if exhaustive else absent_names_of(sample)
    negatives = _draw_negatives(pool, present, options, rng)
    kept_negatives = []
    for name in negatives:
        if vocabulary.lengths[name] > budget:
            break
        budget -= vocabulary.lengths[name]
        kept_negatives.append(name)
    chosen = [*positives, *kept_negatives]
    shuffled = [chosen[place] for place in rng.permutation(len(chosen))]
    return _named(sample, names, *_join(shuffled, options.separator), drops)


def check_all_fit(
    vocabulary: NameVocabulary, options: DetectionPromptOptions, *, exhaustive: bool
) -> None:
    """Refuse `choice="all"` where it would lose names, or call unknown ones absent.

    Raises:
        ConfigError: says how many word pieces the names need.
    """
    if options.choice != "all":
        return
    needed = sum(vocabulary.lengths[name] for name in vocabulary.names)
    if needed > options.token_budget:
        raise ConfigError(
            f"mixture.detection.choice all: the {len(vocabulary.names)} names need {needed} word "
            f"pieces, token_budget is {options.token_budget}; take "
            "--set mixture.detection.choice=sampled"
        )
    if not exhaustive:
        raise ConfigError(
            "mixture.detection.choice all: not every name of this source is boxed wherever it "
            "occurs, so absent ones are not negatives; take --set mixture.detection.choice=sampled"
        )


def _named(
    sample: TrainingSample,
    names: list[tuple[str, ...]],
    caption: str,
    span_of: Mapping[str, Span],
    drops: Counter[str],
) -> Prompt:
    spans = [tuple(span_of[name] for name in group if name in span_of) for group in names]
    keep = [number for number, group in enumerate(spans) if group]
    if len(keep) < len(names):
        drops["box: its name did not fit the token budget"] += len(names) - len(keep)
    return Prompt(
        caption=caption,
        boxes=np.asarray([sample.boxes[i] for i in keep], dtype=np.float32).reshape(-1, 4),
        spans=tuple(spans[i] for i in keep),
        weights=np.asarray([sample.weights[i] for i in keep], dtype=np.float32),
        drops=drops,
    )


def _shuffled(names: Mapping[str, object], rng: np.random.Generator) -> list[str]:
    order = list(names)
    return [order[i] for i in rng.permutation(len(order))]


def _fit(
    names: list[str], vocabulary: NameVocabulary, options: DetectionPromptOptions
) -> tuple[list[str], int]:
    budget = options.token_budget
    kept = []
    for name in names:
        if vocabulary.lengths[name] <= budget:
            budget -= vocabulary.lengths[name]
            kept.append(name)
    return kept, budget


def _draw_negatives(
    pool: Sequence[str],
    positives: Mapping[str, object],
    options: DetectionPromptOptions,
    rng: np.random.Generator,
) -> list[str]:
    most = min(options.max_negatives, len(pool))
    if most == 0:
        return []
    wanted = most if rng.random() < options.full_share else int(rng.integers(1, most + 1))
    chosen = rng.choice(len(pool), size=wanted, replace=False)
    return [pool[i] for i in chosen if pool[i] not in positives]


def _join(names: Sequence[str], separator: str) -> tuple[str, dict[str, Span]]:
    spans: dict[str, Span] = {}
    text = ""
    for name in names:
        text += separator if text else ""
        spans[name] = (len(text), len(text) + len(name))
        text += name
    return text, spans
