from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.export.decimals import (
    one_based_pixels,
    relative_cxcywh,
    relative_xyxy,
    short_xywh,
    short_xyxy,
)
from schemas.checks import EDGE_TOLERANCE_PX
from schemas.records import Xyxy

_SIDES = st.integers(1, 5_000)


@st.composite
def boxes(draw: st.DrawFn) -> tuple[Xyxy, tuple[int, int]]:
    """float32 boxes that `check_xyxy` takes: an edge may be a rounding error outside."""
    size = draw(_SIDES), draw(_SIDES)
    edges = []
    for side in size:
        whole = st.floats(-EDGE_TOLERANCE_PX, side + EDGE_TOLERANCE_PX, width=64)
        special = st.sampled_from([0.0, float(side), side - 0.1, side / 3, side + 0.0005])
        ends = draw(st.lists(whole | special, min_size=2, max_size=2, unique=True))
        low, high = (float(np.float32(v)) for v in sorted(ends))
        low, high = min(low, side - 0.01), max(high, 0.01)
        edges.append((low, high if high - low > 1e-3 else low + 0.005))
    return (edges[0][0], edges[1][0], edges[0][1], edges[1][1]), size


@given(boxes())
def test_no_format_writes_a_box_that_leaves_the_image(drawn: tuple[Xyxy, tuple[int, int]]) -> None:
    xyxy, (width, height) = drawn
    x0, y0, x1, y1 = short_xyxy(xyxy, (width, height))
    assert 0 <= x0 < x1 <= width
    assert 0 <= y0 < y1 <= height
    x, y, w, h = short_xywh(xyxy, (width, height))
    assert min(w, h) > 0
    assert x >= 0
    assert x + w <= width
    assert y + h <= height
    left, top, right, bottom = relative_xyxy(xyxy, (width, height))
    assert 0 <= left < right <= 1
    assert 0 <= top < bottom <= 1
    cx, cy, rw, rh = relative_cxcywh(xyxy, (width, height))
    assert min(rw, rh) > 0
    for centre, side in ((cx, rw), (cy, rh)):
        assert centre - side / 2 >= 0
        assert centre + side / 2 <= 1
    xmin, ymin, xmax, ymax = one_based_pixels(xyxy, (width, height))
    assert 1 <= xmin <= xmax <= width
    assert 1 <= ymin <= ymax <= height


@given(boxes())
def test_float32_corners_come_back_exactly(drawn: tuple[Xyxy, tuple[int, int]]) -> None:
    xyxy, size = drawn
    inside = short_xyxy(xyxy, size)
    x, y, w, h = short_xywh(xyxy, size)
    back = [np.float32(v) for v in (x, y, x + w, y + h)]
    assert back == [np.float32(v) for v in inside]
    cx, cy, rw, rh = relative_cxcywh(xyxy, size)
    shares = [cx - rw / 2, cy - rh / 2, cx + rw / 2, cy + rh / 2]
    assert [s * size[i % 2] for i, s in enumerate(shares)] == pytest.approx(inside, abs=2e-5)


def test_decimals_are_short() -> None:
    ends = tuple(float(np.float32(v)) for v in (10.1, 20.2, 30.3, 40.4))
    assert short_xywh(ends, (64, 48)) == [10.1, 20.2, 20.2, 20.2]  # type: ignore[arg-type]
    assert short_xyxy(ends, (64, 48)) == [10.1, 20.2, 30.3, 40.4]  # type: ignore[arg-type]
