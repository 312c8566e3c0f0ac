from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from pipeline.training_set.augment import AugmentOptions
from pipeline.training_set.mixture import MixtureOptions, TrainingMixture, TrainingSource
from schemas.errors import ConfigError, DataError, RecordError
from schemas.records import Status
from tests.pipeline.training_set.build import GREY, count_words, sample, texts

CAPTIONS = [
    ("a red cat and a dog", ("a red cat", "a dog")),
    ("two boats on a lake", ("two boats", "a lake")),
    ("a big tree left of a hut", ("a big tree", "a hut")),
    ("nothing to see", ()),
]
SAMPLES = tuple(sample(c, p, sample_id=f"s{i}") for i, (c, p) in enumerate(CAPTIONS))
SOURCES = (
    TrainingSource(name="captions", samples=SAMPLES),
    TrainingSource(name="names", samples=SAMPLES, kind="detection"),
)


def mixture(sources=SOURCES, load=lambda uri, size: GREY, seed=0, **augment) -> TrainingMixture:
    options = MixtureOptions(augment=AugmentOptions(**augment))
    return TrainingMixture(sources, options, load_image=load, count_tokens=count_words, seed=seed)


def test_an_example_depends_on_its_position_alone():
    one, two = mixture(), mixture()
    forward = [one.example(p) for p in range(40)]
    backward = [two.example(p) for p in reversed(range(40))][::-1]
    for a, b in zip(forward, backward, strict=True):
        assert a.sample_id == b.sample_id
        assert a.prompt.caption == b.prompt.caption
        assert np.array_equal(a.prompt.boxes, b.prompt.boxes)


@pytest.mark.parametrize(
    "augment",
    [
        {},
        {"side_words": "swap", "crop_share": 1.0, "light": 0.3},
        {"mosaic_share": 1.0, "side_words": "swap"},
    ],
)
def test_spans_always_say_the_names_of_the_sample(augment):
    wanted = {phrase for _, phrases in CAPTIONS for phrase in phrases}
    stream = mixture(**augment)
    for position in range(200):
        shown = stream.example(position)
        height, width = shown.image.shape[:2]
        for group in texts(shown.prompt.caption, shown.prompt.spans):
            assert set(group) <= wanted
        boxes = shown.prompt.boxes
        assert np.all(boxes >= -1e-3)
        assert np.all(boxes <= np.array([width, height, width, height]) + 1e-3)


def test_an_unreadable_image_is_named_in_its_place_and_moves_nothing_else():
    def load(uri, size):
        if uri == "s1.png":
            raise RecordError(Status.IMAGE_MISSING, "s1.png is gone")
        return GREY

    whole, holed = mixture(), mixture(load=load)
    for position in range(40):
        wanted, shown = whole.example(position), holed.example(position)
        assert shown.sample_id == wanted.sample_id
        if wanted.sample_id == "s1":
            assert shown.failure == "image_missing: s1.png is gone"
            assert (shown.prompt.caption, len(shown.prompt.boxes)) == ("", 0)
        else:
            assert shown.failure == ""
            assert shown.prompt.caption == wanted.prompt.caption


def test_boxes_follow_a_picture_that_was_made_smaller():
    small = GREY[::2, ::2]
    stream = mixture(SOURCES[:1], load=lambda uri, size: small, flip_share=0.0)
    shown = next(e for e in map(stream.example, range(9)) if e.sample_id == "s0")
    assert shown.prompt.boxes[0].tolist() == [5.0, 10.0, 20.0, 40.0]


def test_sources_come_by_weight_or_by_size():
    def share(sources):
        stream = mixture(sources)
        counts = Counter(stream.example(p).source for p in range(1024))
        return counts["captions"] / 1024

    assert share(SOURCES) == 0.5
    weighted = (replace(SOURCES[0], weight=3.0), replace(SOURCES[1], weight=1.0))
    assert share(weighted) == 0.75


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ((), "no source"),
        ((SOURCES[0], SOURCES[0]), "two sources have the name 'captions'"),
        ((replace(SOURCES[0], weight=1.0), SOURCES[1]), "given for captions but not for names"),
        ((replace(SOURCES[0], samples=()),), "source 'captions' has no usable sample"),
        ((replace(SOURCES[0], kind="other"),), "kind must be grounding or detection, got 'other'"),
    ],
)
def test_bad_mixtures_are_refused(sources, message):
    with pytest.raises(ConfigError, match=message):
        mixture(sources)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"boxes": ((5.0, 5.0, 5.0, 9.0),) * 2}, r"boxes\[0\] has no area"),
        ({"boxes": ((5.0, 5.0, 300.0, 9.0),) * 2}, "leaves the image of 200 x 100"),
        ({"spans": (((0, 99),),) * 2}, r"\[0, 99\) is not inside the caption of 19 characters"),
        ({"spans": ((), ())}, r"boxes\[0\] has no span"),
        ({"weights": (1.0, float("nan"))}, r"weights\[1\] must be >= 0, got nan"),
        ({"weights": (1.0,)}, "2 boxes, 2 span lists and 1 weights"),
    ],
)
def test_broken_samples_are_refused_by_name(changes, message):
    broken = replace(SAMPLES[0], **changes)
    with pytest.raises(DataError, match=f"training sample 's0': .*{message}"):
        mixture((TrainingSource(name="x", samples=(broken,)),))
