from __future__ import annotations

import pytest

from model.training.schedule import ScheduleOptions, rate_factor
from schemas.errors import ConfigError


def factors(total: int, **given) -> list[float]:
    options = ScheduleOptions(**given)
    return [rate_factor(options, step, total) for step in range(total)]


def test_steps_are_the_reference_rule():
    # Values of the reference's WarmupMultiStepLR for 1000 iterations, warm-up 200.
    found = factors(1000, warmup_steps=200)
    assert found[:3] == pytest.approx([0.001, 0.005995, 0.01099])
    assert found[199] == pytest.approx(0.001 * (1 - 0.995) + 0.995)
    assert (found[200], found[669]) == (1.0, 1.0)
    assert (found[670], found[889]) == pytest.approx((0.1, 0.1))
    assert (found[890], found[999]) == pytest.approx((0.01, 0.01))


def test_cosine_falls_to_its_final_share():
    found = factors(1000, kind="cosine", warmup_steps=100, final_share=0.05)
    assert found[100] == 1.0
    assert found[550] == pytest.approx(0.525)
    assert found[999] == pytest.approx(0.05, abs=1e-4)
    assert found[100:] == sorted(found[100:], reverse=True)


def test_constant_and_no_warm_up():
    assert factors(5, kind="constant", warmup_steps=0) == [1.0] * 5


def test_steps_beyond_the_end_keep_the_final_rate():
    options = ScheduleOptions(kind="cosine", warmup_steps=0, final_share=0.1)
    assert rate_factor(options, 500, 100) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"kind": "linear"}, "kind must be one of 'steps', 'cosine', 'constant', got 'linear'"),
        ({"warmup_steps": -1}, "warmup_steps must be a whole number >= 0, got -1"),
        ({"milestones": (0.9, 0.5)}, r"milestones must rise and lie in \(0, 1\]"),
    ],
)
def test_bad_schedules_are_refused(given, message):
    with pytest.raises(ConfigError, match=message):
        ScheduleOptions(**given)
