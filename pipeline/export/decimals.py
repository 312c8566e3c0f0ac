"""Boxes as short decimals that stay inside their image, in each convention of the formats."""

from __future__ import annotations

import math

import numpy as np

from schemas.checks import EDGE_TOLERANCE_PX
from schemas.records import Xyxy

SizeWh = tuple[int, int]


def short_float(value: float) -> float:
    """The shortest decimal that is the same float32: 10.1, not 10.100000381469727."""
    return float(str(np.float32(value)))


def short_xyxy(xyxy: Xyxy, size_wh: SizeWh) -> list[float]:
    """[x0, y0, x1, y1] in short decimals, inside [0, width] x [0, height]."""
    x0, y0, x1, y1 = (short_float(value) for value in xyxy)
    left, right = _clipped(x0, x1, size_wh[0])
    top, bottom = _clipped(y0, y1, size_wh[1])
    return [left, top, right, bottom]


def short_xywh(xyxy: Xyxy, size_wh: SizeWh) -> list[float]:
    """COCO's [x, y, width, height] in short decimals; x + width is x1 again, and never outside."""
    x0, y0, x1, y1 = short_xyxy(xyxy, size_wh)
    return [x0, y0, _side(x0, x1, size_wh[0]), _side(y0, y1, size_wh[1])]


def relative_xyxy(xyxy: Xyxy, size_wh: SizeWh) -> list[float]:
    """[x0, y0, x1, y1] as shares of the image, in [0, 1]."""
    width, height = size_wh
    x0, y0, x1, y1 = short_xyxy(xyxy, size_wh)
    return [x0 / width, y0 / height, x1 / width, y1 / height]


def relative_cxcywh(xyxy: Xyxy, size_wh: SizeWh) -> list[float]:
    """YOLO's [centre x, centre y, width, height] as shares; no corner is outside of [0, 1]."""
    x0, y0, x1, y1 = relative_xyxy(xyxy, size_wh)
    centre_x, width = _centred(x0, x1)
    centre_y, height = _centred(y0, y1)
    return [centre_x, centre_y, width, height]


def one_based_pixels(xyxy: Xyxy, size_wh: SizeWh) -> list[int]:
    """Pascal VOC's [xmin, ymin, xmax, ymax]: whole pixels from 1, the last one included."""
    x0, y0, x1, y1 = short_xyxy(xyxy, size_wh)
    xmin, ymin = math.floor(x0) + 1, math.floor(y0) + 1
    return [xmin, ymin, max(xmin, math.ceil(x1)), max(ymin, math.ceil(y1))]


def _clipped(low: float, high: float, limit: int) -> tuple[float, float]:
    low, high = min(max(low, 0.0), float(limit)), min(max(high, 0.0), float(limit))
    if low < high:
        return low, high
    # All of it was in the tolerance beyond an edge: a sliver inside says the same.
    return (0.0, EDGE_TOLERANCE_PX) if low <= 0 else (limit - EDGE_TOLERANCE_PX, float(limit))


def _side(low: float, high: float, limit: int) -> float:
    # Both ends are decimals of at most nine digits; so is their difference, up to float64's error.
    side = round(high - low, 9)
    if side <= 0:
        side = high - low
    while low + side > limit:
        side = math.nextafter(side, 0.0)
    return side


def _centred(low: float, high: float) -> tuple[float, float]:
    centre = round((low + high) / 2, 9)
    centre = centre if 0 < centre < 1 else (low + high) / 2
    side = round(high - low, 9)
    # Twice the way to the nearer edge is exact in floating point: halving it gives the edge.
    return centre, min(side if side > 0 else high - low, 2 * centre, 2 * (1 - centre))
