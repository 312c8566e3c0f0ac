"""Greedy suppression in many groups at once: the loop runs over ranks, never over boxes.

In every group the best box that is left is a leader; it takes away what it overlaps too much, and
the next rank follows. A step works on all groups together, so its cost is that of the boxes left.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Boxes = NDArray[np.float64]
Measure = Callable[[Boxes, Boxes], NDArray[np.float64]]


def iou(a: Boxes, b: Boxes) -> NDArray[np.float64]:
    """Intersection over union of a[i] and b[i], [K]; 0 where the union is empty."""
    shared = _intersection(a, b)
    union = _areas(a) + _areas(b) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def share_inside(a: Boxes, b: Boxes) -> NDArray[np.float64]:
    """Share of b[i]'s area that lies inside a[i], [K]; 0 for a box without area."""
    shared, areas = _intersection(a, b), _areas(b)
    return np.divide(shared, areas, out=np.zeros_like(shared), where=areas > 0)


def best_first(groups: Ints, scores: NDArray[np.float32]) -> Ints:
    """The order by group, then from the best score to the worst; ties as they stand."""
    # One sort of whole numbers: float32 in [0, 1] have the order of their bits; -0.0 + 0 is 0.0.
    bits = (scores.astype(np.float32) + np.float32(0)).view(np.uint32).astype(np.int64)
    return np.argsort((groups.astype(np.int64) << 32) - bits, kind="stable")


def suppressed(
    boxes: Boxes,
    groups: Ints,
    limit: float,
    *,
    measure: Measure = iou,
    kinds: Ints | None = None,
) -> NDArray[np.bool_]:
    """Which boxes a better one of their group takes away, [K].

    Args:
        boxes: [K, 4], in the order of `best_first`.
        groups: [K], equal numbers stand together.
        limit: a box goes when `measure(better, box)` is GREATER.
        measure: of pairs of boxes, the better one first.
        kinds: [K]; if given, only boxes of different kinds take each other away.
    """
    gone = np.zeros(len(boxes), dtype=bool)
    left = np.arange(len(boxes))
    while len(left):
        of = groups[left]
        first = np.empty(len(left), dtype=bool)
        first[0] = True
        np.not_equal(of[1:], of[:-1], out=first[1:])
        starts = np.flatnonzero(first)
        # Groups of one are done: with each step fewer boxes are looked at.
        sizes = np.diff(np.append(starts, len(left)))
        more = np.repeat(sizes > 1, sizes)
        leaders = np.repeat(left[starts], sizes)[more & ~first]
        others = left[more & ~first]
        goes = measure(boxes[leaders], boxes[others]) > limit
        if kinds is not None:
            goes &= kinds[leaders] != kinds[others]
        gone[others[goes]] = True
        left = others[~goes]
    return gone


def ranks(groups: Ints) -> Ints:
    """Place of each element in its group, from 0; equal numbers stand together."""
    if not len(groups):
        return np.zeros(0, np.int64)
    first = np.append(True, groups[1:] != groups[:-1])
    starts = np.flatnonzero(first)
    sizes = np.diff(np.append(starts, len(groups)))
    return np.arange(len(groups)) - np.repeat(starts, sizes)


def _intersection(a: Boxes, b: Boxes) -> NDArray[np.float64]:
    wide = np.minimum(a[:, 2], b[:, 2]) - np.maximum(a[:, 0], b[:, 0])
    high = np.minimum(a[:, 3], b[:, 3]) - np.maximum(a[:, 1], b[:, 1])
    return np.asarray(wide.clip(min=0) * high.clip(min=0))


def _areas(boxes: Boxes) -> NDArray[np.float64]:
    sides = (boxes[:, 2:] - boxes[:, :2]).clip(min=0)
    return np.asarray(sides[:, 0] * sides[:, 1])
