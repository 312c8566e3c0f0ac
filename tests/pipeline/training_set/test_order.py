from __future__ import annotations

from collections import Counter

import pytest

from pipeline.training_set.order import BLOCK, StreamOrder, block_quotas, rng_at
from schemas.errors import ConfigError


def test_a_position_gives_the_same_draw_for_ever():
    first = StreamOrder([10, 7], [1, 2], seed=5)
    again = StreamOrder([10, 7], [1, 2], seed=5)
    backwards = [again.at(position) for position in reversed(range(3000))]
    assert [first.at(position) for position in range(3000)] == backwards[::-1]


def test_another_seed_gives_another_order():
    one, two = (StreamOrder([50], [1], seed=seed) for seed in (0, 1))
    assert [one.at(p).index for p in range(50)] != [two.at(p).index for p in range(50)]


def test_every_sample_comes_once_in_each_epoch():
    order = StreamOrder([13], [1], seed=0)
    for epoch in range(3):
        draws = [order.at(13 * epoch + place) for place in range(13)]
        assert sorted(draw.index for draw in draws) == list(range(13))
        assert {draw.epoch for draw in draws} == {epoch}


def test_shares_hold_in_every_block():
    order = StreamOrder([5, 5, 5], [1, 1, 2], seed=3)
    for block in (0, 7):
        counts = Counter(order.at(block * BLOCK + k).source for k in range(BLOCK))
        assert counts == {0: 256, 1: 256, 2: 512}


def test_quotas_fill_the_block_exactly():
    assert sum(block_quotas([1, 1, 1])) == BLOCK
    assert block_quotas([3.0]) == (BLOCK,)


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ([], "no source"),
        ([1, 0], "source 1: weight must be positive, got 0"),
        ([1, float("nan")], "source 1: weight must be positive, got nan"),
        ([1, 1e-6], "source 1: its share of the mixture is 1.00e-06, the smallest is 1/1024"),
    ],
)
def test_bad_shares_are_refused(shares, message):
    with pytest.raises(ConfigError, match=message):
        block_quotas(shares)


def test_an_empty_source_and_a_negative_position_are_refused():
    with pytest.raises(ConfigError, match="source 1: has no usable sample"):
        StreamOrder([3, 0], [1, 1], seed=0)
    with pytest.raises(ValueError, match="position must be >= 0, got -1"):
        StreamOrder([3], [1], seed=0).at(-1)


def test_purposes_share_no_random_numbers():
    draws = {rng_at(0, position, purpose).random() for position in range(4) for purpose in range(4)}
    assert len(draws) == 16
