from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from pipeline.gold.checks import (
    clean_name,
    entry_id,
    join_uri,
    names_caption,
    require,
    usable_spans,
    usable_xywh,
    usable_xyxy,
)
from pipeline.gold.gold_set import GoldCounts
from schemas.errors import DataError

BAD = {"dropped: box is not four finite numbers": 1}
EMPTY = {"dropped: box has no area inside the image": 1}


@pytest.mark.parametrize(
    "corners, expected, counts",
    [
        (None, None, BAD),
        ([], None, BAD),
        ([1, 2, 3], None, BAD),
        ([1, 2, 3, "4"], None, BAD),
        ([1, 2, float("nan"), 4], None, BAD),
        ([1, 2, float("inf"), 4], None, BAD),
        ([True, 0, 3, 4], None, BAD),
        ([5, 5, 5, 9], None, EMPTY),  # no width
        ([9, 5, 5, 9], None, EMPTY),  # inverted
        ([20, 0, 30, 5], None, EMPTY),  # beside the image
        ([5, 5, 5 + 1e-9, 7], None, EMPTY),  # no width in single precision
        ([5, 5, 5.001, 7], (5, 5, 5.001, 7), {}),
        ([-5, -5, 100, 100], (0.0, 0.0, 10.0, 8.0), {"clipped: box leaves its image": 1}),
        ([0, 0, 10.0002, 8], (0.0, 0.0, 10.0, 8.0), {}),  # rounding of a file is no fault
        ([1, 2, 10**400, 4], None, BAD),
        ([0, 0, 10, 8], (0.0, 0.0, 10.0, 8.0), {}),
        ((0.5, 1, 2, 3), (0.5, 1.0, 2.0, 3.0), {}),
    ],
)
def test_usable_xyxy(corners: Any, expected: Any, counts: dict[str, int]) -> None:
    found = GoldCounts()
    assert usable_xyxy(corners, (10, 8), found) == expected
    assert found == counts


def test_xywh_becomes_corners() -> None:
    assert usable_xywh([1, 2, 3, 4], (10, 8), GoldCounts()) == (1.0, 2.0, 4.0, 6.0)


@pytest.mark.parametrize(
    "raw, expected, dropped",
    [
        (None, (), 0),
        ([], (), 0),
        ([[0, 5]], ((0, 5),), 0),
        ([[0, 5], [0, 5]], ((0, 5),), 0),  # a span twice says nothing new
        ([[0, 99]], (), 1),
        ([[3, 3]], (), 1),
        ([[-1, 3]], (), 1),
        ([[2, 3]], (), 1),  # a blank
        ([[0.0, 5.0]], (), 1),
        ([[0]], (), 1),
        ([0, 5], (), 1),  # a span given without its list
    ],
)
def test_usable_spans(raw: Any, expected: Any, dropped: int) -> None:
    counts = GoldCounts()
    assert usable_spans(raw, "un café", counts) == expected
    assert counts.total() == dropped


@pytest.mark.parametrize(
    "name, expected",
    [("traffic_light", "traffic light"), ("bow_(weapon)", "bow"), ("(x)", "(x)"), ("a  b", "a b")],
)
def test_clean_name(name: str, expected: str) -> None:
    assert clean_name(name) == expected


def test_names_caption_gives_every_name_its_own_span() -> None:
    caption, spans = names_caption(["bow_(weapon)", "cat", "bow_(ribbon)"])
    assert caption == "bow. cat. bow"
    assert [caption[a:b] for a, b in spans] == ["bow", "cat", "bow"]
    assert spans[0] != spans[2]
    assert names_caption([]) == ("", ())


@pytest.mark.parametrize(
    "root, name, expected",
    [
        ("", "a.jpg", "a.jpg"),
        ("d/", "a.jpg", "d/a.jpg"),
        ("d", "/x/a.jpg", "/x/a.jpg"),
        ("s3://b/d", "a.jpg", "s3://b/d/a.jpg"),
        ("d", "http://h/a.jpg", "http://h/a.jpg"),
    ],
)
def test_join_uri(root: str, name: str, expected: str) -> None:
    assert join_uri(root, name) == expected


def test_names_of_windows_and_of_the_web_are_found(tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir()
    for name in ("a b/1.jpg", "50%25.jpg", "50%.jpg", "x\\y.jpg"):
        (tmp_path / name).touch()
    found = {
        "a b\\1.jpg": "a b/1.jpg",
        "a%20b/1.jpg": "a b/1.jpg",
        "50%25.jpg": "50%25.jpg",  # a file of this very name is the one
        "x\\y.jpg": "x\\y.jpg",
        "not\\there.jpg": "not\\there.jpg",
        "nul\0%20.jpg": "nul\0%20.jpg",
    }
    for name, expected in found.items():
        assert join_uri(str(tmp_path), name) == f"{tmp_path}/{expected}"


@pytest.mark.parametrize(
    "value, expected", [(7, 7), ("a", "a"), (7.0, 7), (2**53 + 1, 2**53 + 1), (-1, -1)]
)
def test_ids_are_whole_or_text(value: Any, expected: Any) -> None:
    assert entry_id({"id": value}, "id", "a") == expected


@pytest.mark.parametrize("value", [None, True, 1.5, math.nan, math.inf, [1], {"a": 1}])
def test_other_ids_are_explained(value: Any) -> None:
    with pytest.raises(DataError, match=r"^a: id must be int or str, got "):
        entry_id({"id": value}, "id", "a")


def test_half_a_character_is_not_text() -> None:
    with pytest.raises(DataError, match="^a: name is not valid Unicode text"):
        require({"name": "x\ud800"}, "name", str, "a")
