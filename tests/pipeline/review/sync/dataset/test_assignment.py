"""The split of pairs among reviewers."""

from __future__ import annotations

from collections import Counter

import pytest

from pipeline.review.sync.dataset.assignment import split
from schemas.errors import ConfigError

KEYS = [f"toy/{number}" for number in range(101)]


def test_without_overlap_each_pair_has_one_reviewer_and_shares_are_even() -> None:
    found = split(KEYS, ["a", "b", "c"])
    assert set(found) == set(KEYS)
    assert {len(names) for names in found.values()} == {1}
    counts = Counter(names[0] for names in found.values())
    assert max(counts.values()) - min(counts.values()) <= 1


def test_an_overlap_is_shared_by_every_two_alike() -> None:
    found = split(KEYS, ["a", "b", "c"], overlap=0.3)
    twice = Counter(names for names in found.values() if len(names) == 2)
    assert sum(twice.values()) == 30
    assert twice == {("a", "b"): 10, ("a", "c"): 10, ("b", "c"): 10}


def test_the_split_depends_on_names_and_seed_alone() -> None:
    assert split(KEYS, ["a", "b"]) == split(reversed(KEYS), ["a", "b"])
    assert split(KEYS, ["a", "b"]) != split(KEYS, ["a", "b"], seed=1)
    assert split([], ["a"]) == {}


@pytest.mark.parametrize(
    "names, overlap, said",
    [
        ([], 0.0, "reviewers must be different names, got none"),
        (["a", "a"], 0.0, "different names, got a, a"),
        (["a"], 0.5, "overlap 0.5 needs two reviewers or more, got a"),
        (["a", "b"], 1.5, r"overlap must be in \[0, 1\], got 1.5"),
    ],
)
def test_what_cannot_be(names: list[str], overlap: float, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        split(KEYS, names, overlap=overlap)
