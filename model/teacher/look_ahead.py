"""What a network needs of its images, made by threads while it works on the batch before."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

PreparedT = TypeVar("PreparedT")
THREADS_BESIDE_GPU = 4
"""One thread makes an input of 960 x 960 in about 35 ms, more than a GPU needs to answer it."""


class LookAhead(Generic[PreparedT]):
    """Prepares images in threads, never more than it is told to.

    Args:
        prepare: From uint8 RGB [height, width, 3] to what the network needs; for any thread.
        device: Of the network. Beside one that computes on the CPU a single thread prepares.
    """

    def __init__(
        self, prepare: Callable[[NDArray[np.uint8]], PreparedT], device: torch.device
    ) -> None:
        self._prepare = prepare
        threads = 1 if device.type == "cpu" else min(THREADS_BESIDE_GPU, os.cpu_count() or 1)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="prepare")

    @contextmanager
    def over(self, images: Sequence[NDArray[np.uint8]]) -> Iterator[Ahead[PreparedT]]:
        """The images of one call, in the order in which they will be asked for."""
        ahead = Ahead(images, lambda image: self._pool.submit(self._prepare, image))
        try:
            yield ahead
        finally:
            ahead.cancel()


class Ahead(Generic[PreparedT]):
    """Images of one call on their way; see `LookAhead.over`."""

    def __init__(
        self,
        images: Sequence[NDArray[np.uint8]],
        submit: Callable[[NDArray[np.uint8]], Future[PreparedT]],
    ) -> None:
        self._images = images
        self._submit = submit
        self._begun: dict[int, Future[PreparedT]] = {}
        self._next = 0

    def take(self, start: int, stop: int) -> list[PreparedT]:
        """Those from `start` to `stop`; as many after them are begun.

        Raises:
            Exception: whatever preparing one of them raised.
        """
        last = min(len(self._images), 2 * stop - start)
        for place in range(self._next, last):
            self._begun[place] = self._submit(self._images[place])
        self._next = max(self._next, last)
        return [self._begun.pop(place).result() for place in range(start, stop)]

    def cancel(self) -> None:
        """Begin no more."""
        for future in self._begun.values():
            future.cancel()
