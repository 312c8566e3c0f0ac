"""Encoded images in the memory of a worker: what its units may hold together before decoding.

Units wait in line for it. The first in line is never kept waiting, so that a worker always goes
on; it ends, and the next is first. The others wait for room, in their own threads: a thread that
fetches serves several units and never waits.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from pipeline.images.connections import NotAdmitted

HELD_BYTES = 384 * 2**20
"""Of all units of a worker. The first in line may go on beyond it by a window and one image."""


class HeldBytes:
    """The bytes that the units of a worker hold together.

    Args:
        limit: Bytes beyond which all but the first in line wait.
    """

    def __init__(self, limit: int = HELD_BYTES) -> None:
        self.limit = limit
        self.total = 0
        self.most = 0
        """The largest total so far."""
        self.changed = threading.Condition()
        self.line: list[UnitBytes] = []

    @contextlib.contextmanager
    def unit(self) -> Iterator[UnitBytes]:
        """The share of a unit; what it still holds in the end is given back."""
        share = UnitBytes(self)
        with self.changed:
            self.line.append(share)
        try:
            yield share
        finally:
            with self.changed:
                self.line.remove(share)
                self.total -= share.held
                self.changed.notify_all()


class UnitBytes:
    """What one unit holds. Safe to call from the threads that fetch and decode for it."""

    def __init__(self, all_units: HeldBytes) -> None:
        self.held = 0
        self._all = all_units

    def try_take(self, size: int, limit: int) -> None:
        """Count bytes in without waiting.

        Args:
            size: Bytes.
            limit: That this unit may hold by itself.

        Raises:
            NotAdmitted: they do not fit.
        """
        with self._all.changed:
            if self.held + size > limit or self._all.total + size > self._all.limit:
                raise NotAdmitted(f"{size:,} bytes more do not fit")
            self._count(size)

    def take(self, size: int) -> None:
        """Count bytes in, whether they fit or not."""
        with self._all.changed:
            self._count(size)

    def give(self, size: int) -> None:
        """Count bytes out."""
        with self._all.changed:
            self._count(-size)
            self._all.changed.notify_all()

    def wait_for(self, size: int) -> None:
        """Wait until so many bytes fit, or this unit is the first in line."""
        with self._all.changed:
            self._all.changed.wait_for(lambda: self._may_take(size))

    def is_full(self, limit: int) -> bool:
        """Whether to fetch nothing more ahead, of a unit that may hold `limit` bytes itself."""
        with self._all.changed:
            return self.held >= limit or self._all.total >= self._all.limit

    def _may_take(self, size: int) -> bool:
        return self._all.line[0] is self or self._all.total + size <= self._all.limit

    def _count(self, size: int) -> None:
        self.held += size
        self._all.total += size
        self._all.most = max(self._all.most, self._all.total)
