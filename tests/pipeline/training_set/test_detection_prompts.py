from __future__ import annotations

import numpy as np
import pytest

from pipeline.training_set.detection_prompts import (
    DetectionPromptOptions,
    NameVocabulary,
    check_all_fit,
    detection_prompt,
)
from schemas.errors import ConfigError
from tests.pipeline.training_set.build import count_words, sample, texts

NAMES = [f"thing{i}" for i in range(100)]


def vocabulary(*own: str) -> NameVocabulary:
    return NameVocabulary.build([*own, *NAMES], own, count_words, ". ")


def draw(options: DetectionPromptOptions, seed: int = 0, **given):
    one = sample("cat. dog", ("cat", "dog"))
    return detection_prompt(
        one, vocabulary("cat", "dog"), options, np.random.default_rng(seed), **given
    )


def test_positives_are_always_there_and_their_spans_say_their_names():
    for seed in range(50):
        prompt = draw(DetectionPromptOptions(), seed)
        assert texts(prompt.caption, prompt.spans) == [["cat"], ["dog"]]
        assert not prompt.caption.endswith(". ")


def test_half_of_the_prompts_are_full_and_the_rest_uniform():
    counts = [
        len(draw(DetectionPromptOptions(max_negatives=20), seed).caption.split(". "))
        for seed in range(400)
    ]
    # A drawn positive is not a negative, so a full prompt has 20 to 22 names.
    full = sum(count >= 20 for count in counts) / len(counts)
    assert 0.45 < full < 0.65
    assert min(counts) <= 4


def test_the_budget_counts_separators_and_keeps_the_positives():
    prompt = draw(DetectionPromptOptions(full_share=1.0, token_budget=10))
    assert count_words(prompt.caption) <= 10
    assert len(prompt.boxes) == 2


def test_a_name_over_the_budget_goes_with_its_boxes_and_is_counted():
    prompt = draw(DetectionPromptOptions(token_budget=2, max_negatives=0))
    assert len(prompt.boxes) == len(prompt.spans) == len(prompt.weights) == 1
    assert prompt.drops == {"box: its name did not fit the token budget": 1}


def test_no_box_and_no_negative_gives_an_empty_prompt():
    prompt = detection_prompt(
        sample("", ()),
        vocabulary(),
        DetectionPromptOptions(max_negatives=0),
        np.random.default_rng(0),
    )
    assert (prompt.caption, prompt.boxes.shape) == ("", (0, 4))


def test_without_exhaustive_boxes_only_declared_absences_are_negatives():
    one = sample("cat. zebra. emu", ("cat",), absent=("zebra", "emu"))
    words = NameVocabulary.build(NAMES, ("cat", "zebra", "emu"), count_words, ". ")
    for seed in range(20):
        prompt = detection_prompt(
            one,
            words,
            DetectionPromptOptions(),
            np.random.default_rng(seed),
            exhaustive=False,
        )
        assert set(prompt.caption.split(". ")) <= {"cat", "zebra", "emu"}


def test_a_box_with_two_names_keeps_both():
    one = sample("cat. animal", ("cat",))
    both = type(one)(
        **{f: getattr(one, f) for f in one.__slots__} | {"spans": (((0, 3), (5, 11)),)}
    )
    prompt = detection_prompt(
        both,
        vocabulary("cat", "animal"),
        DetectionPromptOptions(),
        np.random.default_rng(1),
    )
    assert texts(prompt.caption, prompt.spans) == [["cat", "animal"]]


@pytest.mark.parametrize(
    ("field", "value"), [("max_negatives", -1), ("full_share", 1.5), ("token_budget", 0)]
)
def test_bad_options_are_refused(field, value):
    with pytest.raises(ConfigError, match=rf"{field} must be .*, got {value}"):
        DetectionPromptOptions(**{field: value})


def test_all_names_stand_in_their_order_whatever_is_drawn():
    options = DetectionPromptOptions(choice="all")
    words = NameVocabulary.build(["owl", "dog", "cat"], ("cat", "dog"), count_words, ". ")
    for seed in range(5):
        prompt = detection_prompt(
            sample("cat. dog", ("cat", "dog")), words, options, np.random.default_rng(seed)
        )
        assert prompt.caption == "owl. dog. cat"
        assert texts(prompt.caption, prompt.spans) == [["cat"], ["dog"]]


def test_all_names_are_refused_where_they_do_not_fit_or_absence_is_not_known():
    options = DetectionPromptOptions(choice="all", token_budget=100)
    with pytest.raises(ConfigError, match=r"the 102 names need \d+ word pieces, token_budget is"):
        check_all_fit(vocabulary("cat", "dog"), options, exhaustive=True)
    few = NameVocabulary.build(["cat"], ("cat",), count_words, ". ")
    check_all_fit(few, options, exhaustive=True)
    with pytest.raises(ConfigError, match="not every name of this source is boxed"):
        check_all_fit(few, options, exhaustive=False)
    check_all_fit(vocabulary("cat"), DetectionPromptOptions(token_budget=1), exhaustive=False)


def test_an_unknown_choice_is_refused():
    with pytest.raises(ConfigError, match="choice must be one of 'sampled', 'all', got 'some'"):
        DetectionPromptOptions(choice="some")  # type: ignore[arg-type]
