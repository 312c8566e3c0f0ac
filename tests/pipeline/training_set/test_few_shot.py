from __future__ import annotations

from collections import Counter

import pytest

from pipeline.training_set.detection_prompts import names_of
from pipeline.training_set.few_shot import few_shot
from schemas.errors import ConfigError
from schemas.records import TrainingSample
from tests.pipeline.training_set.build import sample


def named(number: int, *names: str) -> TrainingSample:
    return sample(". ".join(names), names, sample_id=f"s{number:02d}")


def held(samples: tuple[TrainingSample, ...]) -> Counter[str]:
    return Counter(
        name for one in samples for name in {n for group in names_of(one) for n in group}
    )


@pytest.mark.parametrize("shots", [0, -1])
def test_fewer_than_one_shot_is_refused(shots):
    with pytest.raises(ConfigError, match=f"shots must be >= 1, got {shots}"):
        few_shot([named(0, "cat")], shots, 0)


def test_nothing_gives_nothing_and_an_image_without_a_name_is_never_taken():
    assert few_shot([], 3, 0) == ()
    assert few_shot([named(0), named(1, "cat")], 5, 0) == (named(1, "cat"),)


def test_a_rare_name_gives_all_that_it_has():
    samples = [named(0, "owl"), *(named(i, "cat") for i in range(1, 9))]
    assert held(few_shot(samples, 3, 0)) == {"owl": 1, "cat": 3}


def test_every_name_has_its_images_in_the_old_order_and_the_seed_decides_which():
    samples = [
        named(i, *names) for i, names in enumerate([("cat", "dog"), ("cat",), ("dog", "owl")] * 10)
    ]
    one, other = few_shot(samples, 2, 0), few_shot(samples, 2, 1)
    assert min(held(one).values()) >= 2
    assert [s.sample_id for s in one] == sorted(s.sample_id for s in one)
    assert len(one) <= 5
    assert few_shot(samples, 2, 0) == one != other


def test_an_image_counts_for_every_name_in_it():
    assert len(few_shot([named(i, "cat", "dog", "owl") for i in range(9)], 4, 0)) == 4
