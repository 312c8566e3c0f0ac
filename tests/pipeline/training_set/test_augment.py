from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline.training_set.augment import (
    AugmentOptions,
    crop,
    draw_short_side,
    flip,
    names_a_side,
    relight,
    swap_sides,
)
from pipeline.training_set.example import TrainingExample, sample_prompt
from schemas.errors import ConfigError
from tests.pipeline.training_set.build import sample, span_of, texts


def example(caption="a red cat and a dog", phrases=("a red cat", "a dog")) -> TrainingExample:
    """Every box is painted in its own channel, so that pixels can be compared with boxes."""
    one = sample(caption, phrases)
    image = np.zeros((100, 200, 3), dtype=np.uint8)
    for number, (x0, y0, x1, y1) in enumerate(one.boxes):
        image[int(y0) : int(y1), int(x0) : int(x1), number] = 200
    return TrainingExample(sample_id="s0", source="test", image=image, prompt=sample_prompt(one))


def painted(shown: TrainingExample, number: int) -> list[int]:
    """Bounding box of a colour; its edge is where the blurred colour is half."""
    ys, xs = np.nonzero(shown.image[..., number] > 100)
    return [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]


ALWAYS = AugmentOptions(flip_share=1.0)


def test_flipped_boxes_are_exactly_where_the_pixels_went():
    flipped = flip(example(), ALWAYS, np.random.default_rng(0))
    for number, box in enumerate(flipped.prompt.boxes):
        assert box.tolist() == painted(flipped, number)


def test_flipping_twice_restores():
    rng = np.random.default_rng(0)
    twice = flip(flip(example(), ALWAYS, rng), ALWAYS, rng)
    assert np.array_equal(twice.image, example().image)
    assert np.array_equal(twice.prompt.boxes, example().prompt.boxes)


@pytest.mark.parametrize("word", ["left", "Right", "LEFTMOST", "clockwise", "right-hand"])
def test_side_words_are_seen(word):
    assert names_a_side(f"the {word} cat")


@pytest.mark.parametrize("word", ["lefty", "bright", "copyright", "upright"])
def test_other_words_are_not(word):
    assert not names_a_side(f"a {word} cat")


def test_keep_leaves_a_caption_with_a_side_alone():
    shown = example("a cat left of a dog", ("a cat", "a dog"))
    assert flip(shown, ALWAYS, np.random.default_rng(0)) is shown


def test_swap_turns_the_words_and_moves_the_spans():
    shown = example("Left of a dog is a cat, right of it air", ("a dog", "a cat", "air"))
    flipped = flip(shown, replace(ALWAYS, side_words="swap"), np.random.default_rng(0))
    prompt = flipped.prompt
    assert prompt.caption == "Right of a dog is a cat, left of it air"
    assert texts(prompt.caption, prompt.spans) == [["a dog"], ["a cat"], ["air"]]


def test_swap_inside_a_span_keeps_its_ends():
    caption = "the left cat"
    swapped, spans = swap_sides(caption, ((span_of(caption, "left cat"),),))
    assert texts(swapped, spans) == [["right cat"]]
    assert swap_sides(swapped, spans)[0] == caption


def test_ignore_is_the_reference():
    shown = example("a cat left of a dog", ("a cat", "a dog"))
    flipped = flip(shown, replace(ALWAYS, side_words="ignore"), np.random.default_rng(0))
    assert flipped.prompt.caption == shown.prompt.caption
    assert flipped.prompt.boxes[0, 0] == 160


def test_crops_follow_the_pixels_and_count_what_is_outside():
    options = AugmentOptions(crop_share=1.0, crop_min_side=0.5)
    lost = 0
    for seed in range(40):
        cropped = crop(example(), options, np.random.default_rng(seed))
        prompt = cropped.prompt
        assert cropped.image.shape == (100, 200, 3)
        assert len(prompt.boxes) == len(prompt.spans) == len(prompt.weights)
        assert len(prompt.boxes) + sum(prompt.drops.values()) == 2
        lost += sum(prompt.drops.values())
        for box, name in zip(prompt.boxes, texts(prompt.caption, prompt.spans), strict=True):
            number = 0 if name == ["a red cat"] else 1
            assert np.abs(box - painted(cropped, number)).max() <= 1.0
    assert lost > 0


def test_a_window_that_cuts_a_box_is_not_taken():
    options = AugmentOptions(crop_share=1.0, crop_min_side=0.5, min_visible=1.0)
    whole = example()
    for seed in range(20):
        cropped = crop(whole, options, np.random.default_rng(seed))
        if cropped is not whole:
            sides = cropped.prompt.boxes[:, 2:] - cropped.prompt.boxes[:, :2]
            assert np.all(sides >= 29.9)


def test_relight_keeps_the_order_of_greys():
    shown = replace(example(), image=np.arange(256, dtype=np.uint8)[None, :, None].repeat(3, 2))
    lit = relight(shown, AugmentOptions(light=0.5), np.random.default_rng(0)).image[0, :, 0]
    assert np.all(np.diff(lit.astype(int)) >= 0)
    assert relight(shown, AugmentOptions(), np.random.default_rng(0)) is shown


def test_short_side():
    rng = np.random.default_rng(0)
    assert draw_short_side(AugmentOptions(), rng) is None
    options = AugmentOptions(short_sides=(480, 800))
    assert {draw_short_side(options, rng) for _ in range(20)} == {480, 800}


@pytest.mark.parametrize(
    ("field", "value"),
    [("flip_share", 1.1), ("crop_min_side", 0.0), ("light", 1.0), ("side_words", "mirror")],
)
def test_bad_options_are_refused(field, value):
    with pytest.raises(ConfigError, match=rf"{field} must be .*{value}"):
        AugmentOptions(**{field: value})
