"""Greedy suppression in many groups at once: the loop runs over ranks, never over boxes.

In every group the best box that is left is a leader; it takes away what it overlaps too much, and
the next rank follows. A step works on all groups together, so its cost is that of the boxes left.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
_SLACK = 1e-9
"""How far rounding may carry a quotient over its bound, with room to spare."""


@dataclass(frozen=True, slots=True)
class Sides:
    """Boxes by side, each [K], with their areas: columns are quicker to gather than rows."""

    x0: Floats
    y0: Floats
    x1: Floats
    y1: Floats
    areas: Floats

    @classmethod
    def of(cls, boxes: Floats) -> Sides:
        """Of boxes [K, 4]."""
        x0, y0, x1, y1 = np.ascontiguousarray(boxes.T)
        return cls(x0, y0, x1, y1, (x1 - x0).clip(min=0) * (y1 - y0).clip(min=0))

    def at(self, index: Ints) -> Sides:
        """Some of them."""
        return Sides(
            self.x0[index], self.y0[index], self.x1[index], self.y1[index], self.areas[index]
        )

    def shared(self, other: Sides) -> Floats:
        """Area of the intersection of the i-th with the other's i-th, [K]."""
        wide = np.minimum(self.x1, other.x1) - np.maximum(self.x0, other.x0)
        high = np.minimum(self.y1, other.y1) - np.maximum(self.y0, other.y0)
        return np.asarray(wide.clip(min=0) * high.clip(min=0))


class Iou:
    """Intersection over union; 0 where the union is empty."""

    def __call__(self, better: Sides, worse: Sides) -> Floats:
        """Of each pair, [K]."""
        shared = better.shared(worse)
        union = better.areas + worse.areas - shared
        return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)

    def may_exceed(self, better: Floats, worse: Floats, limit: float) -> NDArray[np.bool_]:
        """Where areas alone do not rule it out: no IoU is greater than the lesser area over the
        greater one."""
        bound = (limit - _SLACK) * np.maximum(better, worse)
        return np.asarray(np.minimum(better, worse) >= bound)


class ShareInside:
    """Share of the worse box's area inside the better one; 0 for a box without area."""

    def __call__(self, better: Sides, worse: Sides) -> Floats:
        """Of each pair, [K]."""
        shared = better.shared(worse)
        return np.divide(shared, worse.areas, out=np.zeros_like(shared), where=worse.areas > 0)

    def may_exceed(self, better: Floats, worse: Floats, limit: float) -> NDArray[np.bool_]:
        """Where areas alone do not rule it out."""
        return np.asarray(better >= (limit - _SLACK) * worse)


IOU, SHARE_INSIDE = Iou(), ShareInside()


def best_first(groups: Ints, scores: NDArray[np.float32]) -> Ints:
    """The order by group, then from the best score to the worst; ties as they stand."""
    # One sort of whole numbers: float32 in [0, 1] have the order of their bits; -0.0 + 0 is 0.0.
    bits = (scores.astype(np.float32) + np.float32(0)).view(np.uint32).astype(np.int64)
    return np.argsort((groups.astype(np.int64) << 32) - bits, kind="stable")


def suppressed(
    boxes: Floats,
    groups: Ints,
    limit: float,
    *,
    measure: Iou | ShareInside = IOU,
    kinds: Ints | None = None,
) -> NDArray[np.bool_]:
    """Which boxes a better one of their group takes away, [K].

    Args:
        boxes: [K, 4], in the order of `best_first`.
        groups: [K], equal numbers stand together.
        limit: a box goes when the measure of a better box and it is GREATER.
        measure: of pairs of boxes.
        kinds: [K]; if given, only boxes of different kinds take each other away.
    """
    sides = Sides.of(boxes)
    gone = np.zeros(len(boxes), dtype=bool)
    left, of, areas = np.arange(len(boxes)), groups, sides.areas
    while len(left):
        first = np.empty(len(left), dtype=bool)
        first[0] = True
        np.not_equal(of[1:], of[:-1], out=first[1:])
        starts = np.flatnonzero(first)
        # A leader is done, and with it a group of one: each step looks at fewer boxes.
        rest = np.flatnonzero(~first)
        leaders = np.repeat(starts, np.diff(starts, append=len(left)) - 1)
        maybe = measure.may_exceed(areas[leaders], areas[rest], limit)
        if kinds is not None:
            maybe &= kinds[left[leaders]] != kinds[left[rest]]
        pairs = np.flatnonzero(maybe)
        better, worse = left[leaders[pairs]], left[rest[pairs]]
        goes = measure(sides.at(better), sides.at(worse)) > limit
        gone[worse[goes]] = True
        stays = np.ones(len(rest), dtype=bool)
        stays[pairs[goes]] = False
        rest = rest[stays]
        left, of, areas = left[rest], of[rest], areas[rest]
    return gone


def ranks(groups: Ints) -> Ints:
    """Place of each element in its group, from 0; equal numbers stand together."""
    if not len(groups):
        return np.zeros(0, np.int64)
    first = np.append(True, groups[1:] != groups[:-1])
    starts = np.flatnonzero(first)
    sizes = np.diff(np.append(starts, len(groups)))
    return np.arange(len(groups)) - np.repeat(starts, sizes)
