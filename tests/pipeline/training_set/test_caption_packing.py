from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from pipeline.training_set.caption_packing import (
    CaptionPackingOptions,
    foreign_count,
    pack_captions,
)
from pipeline.training_set.example import sample_prompt
from schemas.errors import ConfigError
from tests.pipeline.training_set.build import count_words, sample, texts

FOREIGN = ["two boats on a lake", "A man reads.", "ein Bär 🐻 schläft"]


def pack(foreign, **given):
    options = CaptionPackingOptions(**given)
    rng = np.random.default_rng(given.pop("seed", 0))
    return pack_captions(sample_prompt(sample()), foreign, options, count_words, rng)


def test_spans_follow_their_caption_wherever_it_lands():
    starts = set()
    for seed in range(30):
        rng = np.random.default_rng(seed)
        prompt = pack_captions(
            sample_prompt(sample()), FOREIGN, CaptionPackingOptions(), count_words, rng
        )
        assert texts(prompt.caption, prompt.spans) == [["a red cat"], ["a dog"]]
        starts.add(prompt.caption.index("a red cat"))
    assert len(starts) > 4


def test_every_caption_ends_a_sentence():
    assert pack(FOREIGN).caption.count(".") == 4


def test_a_caption_that_names_a_boxed_noun_is_refused_and_counted():
    prompt = pack(["The Dog barks", "a dogma"])
    assert "Dog barks" not in prompt.caption
    assert "dogma" in prompt.caption
    assert prompt.drops == {"foreign caption: names a boxed noun": 1}


def test_the_budget_is_kept_and_the_true_caption_always_stays():
    prompt = pack(FOREIGN, token_budget=4)
    assert prompt.caption == "a red cat and a dog"
    assert prompt.drops == {"foreign caption: over the token budget": 3}


def test_empty_and_equal_captions_change_nothing():
    assert pack(["", "a red cat and a dog"]).caption == "a red cat and a dog"


def test_shares_of_none_full_and_uniform():
    rng = np.random.default_rng(0)
    counts = Counter(foreign_count(CaptionPackingOptions(), rng) for _ in range(4000))
    # Uniform is 0..19: a twentieth of the rest is none as well.
    assert abs(counts[0] / 4000 - 0.415) < 0.03
    assert abs(counts[20] / 4000 - 0.3) < 0.03
    assert max(counts) == 20
    assert foreign_count(CaptionPackingOptions(max_foreign=0), rng) == 0


def test_bad_shares_are_refused():
    with pytest.raises(ConfigError, match=r"add up to at most 1, got 0.8 and 0.3"):
        CaptionPackingOptions(none_share=0.8)
    with pytest.raises(ConfigError, match="max_foreign must be a whole number >= 0, got -2"):
        CaptionPackingOptions(max_foreign=-2)
