"""Captions of other images as negatives: several captions in one prompt, one of them true."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pipeline.training_set.detection_prompts import TokenCounter
from pipeline.training_set.example import Prompt, as_sentence, last_words, shift_spans, words_of
from schemas.checked import Count, CountOrZero, Share, checked


@checked(frozen=True, slots=True, kw_only=True)
class CaptionPackingOptions:
    """How many captions of other images join the true one (GLIP: 20, 40 % none, 30 % full)."""

    max_foreign: CountOrZero = 20
    none_share: Share = 0.4
    """Share of the prompts that keep the caption alone."""
    full_share: Share = 0.3
    """Share that gets `max_foreign`; the rest gets a uniform number below it."""
    token_budget: Count = 254
    """Word pieces of the whole prompt, [CLS] and [SEP] not counted."""
    refuse_shared_nouns: bool = True
    """Leave out a foreign caption that contains the last word of a boxed phrase: what it says
    may well be true of this image."""

    def __post_init__(self) -> None:
        if self.none_share + self.full_share > 1:
            raise ValueError(
                "none_share and full_share must add up to at most 1, got "
                f"{self.none_share} and {self.full_share}"
            )


def foreign_count(options: CaptionPackingOptions, rng: np.random.Generator) -> int:
    """How many foreign captions this prompt asks for."""
    draw = rng.random()
    if options.max_foreign == 0 or draw < options.none_share:
        return 0
    if draw < options.none_share + options.full_share:
        return options.max_foreign
    return int(rng.integers(0, options.max_foreign))


def pack_captions(
    prompt: Prompt,
    foreign: Sequence[str],
    options: CaptionPackingOptions,
    count_tokens: TokenCounter,
    rng: np.random.Generator,
) -> Prompt:
    """Put the true caption among foreign ones, in random order, within the token budget.

    The true caption always stays whole, also where it alone exceeds the budget (its tail is then
    cut by the tokenizer, and the loss counts the spans that this loses).
    """
    nouns = last_words(prompt.caption, prompt.spans)
    budget = options.token_budget - count_tokens(as_sentence(prompt.caption))
    drops: Counter[str] = Counter(prompt.drops)
    texts = [prompt.caption]
    for text in foreign:
        if not text or text == prompt.caption:
            continue
        if options.refuse_shared_nouns and nouns & words_of(text):
            drops["foreign caption: names a boxed noun"] += 1
            continue
        length = count_tokens(as_sentence(text))
        if length > budget:
            drops["foreign caption: over the token budget"] += 1
            continue
        budget -= length
        texts.append(text)
    if len(texts) == 1:
        return replace(prompt, drops=drops)
    joined, start = "", 0
    for place in rng.permutation(len(texts)):
        joined += " " if joined else ""
        if place == 0:
            start = len(joined)
        joined += as_sentence(texts[place])
    spans = tuple(shift_spans(group, start) for group in prompt.spans)
    return replace(prompt, caption=joined, spans=spans, drops=drops)
