"""Box arithmetic: empty and degenerate boxes first."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.boxes import (
    as_boxes,
    box_areas,
    clip_xyxy,
    nms,
    pairwise_iou,
    relative_xywh_to_xyxy,
    xywh_to_xyxy,
    xyxy_to_relative_xywh,
    xyxy_to_xywh,
)

CONVERTERS = [
    xyxy_to_xywh,
    xywh_to_xyxy,
    lambda b: xyxy_to_relative_xywh(b, (4, 2)),
    lambda b: relative_xywh_to_xyxy(b, (4, 2)),
    lambda b: clip_xyxy(b, (4, 2)),
]


@pytest.mark.parametrize("convert", CONVERTERS)
def test_no_boxes_stay_no_boxes(convert) -> None:
    assert convert(np.empty((0, 4))).shape == (0, 4)
    assert convert([]).shape == (0, 4)


def test_a_wrong_shape_is_named() -> None:
    with pytest.raises(ValueError, match=r"must have the shape \[N, 4\], got \[3\]"):
        as_boxes([1, 2, 3])


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((0, 0, 0, 0), 0.0),  # a point
        ((3, 0, 1, 5), 0.0),  # inverted
        ((0, 0, 2, 3), 6.0),
    ],
)
def test_areas(box: tuple, expected: float) -> None:
    assert box_areas([box])[0] == expected


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ((0, 0, 0, 0), (0, 0, 0, 0), 0.0),  # empty union
        ((0, 0, 2, 2), (2, 0, 4, 2), 0.0),  # edges touch
        ((0, 0, 2, 2), (0, 0, 2, 2), 1.0),
        ((0, 0, 2, 2), (1, 0, 3, 2), 1 / 3),
    ],
)
def test_iou(a: tuple, b: tuple, expected: float) -> None:
    assert pairwise_iou([a], [b])[0, 0] == pytest.approx(expected)


def test_nms_keeps_the_best_and_breaks_ties_by_order() -> None:
    boxes = [(0, 0, 10, 10), (0, 0, 10, 10), (0, 0, 10, 9), (20, 20, 30, 30)]
    assert nms([], [], 0.5).tolist() == []
    assert nms(boxes, [0.5, 0.5, 0.9, 0.1], 0.5).tolist() == [2, 3]
    assert nms(boxes, [0.5, 0.5, 0.4, 0.1], 0.95).tolist() == [0, 2, 3]


@pytest.mark.parametrize("count", [0, 5, 300, 900])
def test_a_limit_keeps_the_best_of_what_all_would_be(count: int) -> None:
    random = np.random.default_rng(count)
    low = random.uniform(0, 100, (count, 2))
    boxes = np.concatenate([low, low + random.uniform(0, 30, (count, 2))], 1)
    scores = random.integers(0, 40, count) / 40  # with ties
    everything = nms(boxes, scores, 0.5).tolist()
    for limit in (1, 50, count + 1):
        assert nms(boxes, scores, 0.5, limit=limit).tolist() == everything[:limit]


def test_clip_moves_corners_to_the_image() -> None:
    assert clip_xyxy([(-1, -1, 9, 1)], (4, 2)).tolist() == [[0, 0, 4, 1]]


corner = st.floats(0, 1000, width=32)


@given(st.lists(st.tuples(corner, corner, corner, corner), max_size=5))
def test_conversions_invert_each_other(boxes: list) -> None:
    array = as_boxes(boxes)
    np.testing.assert_allclose(xywh_to_xyxy(xyxy_to_xywh(array)), array, atol=1e-9)
    relative = xyxy_to_relative_xywh(array, (640, 480))
    np.testing.assert_allclose(relative_xywh_to_xyxy(relative, (640, 480)), array, atol=1e-9)
