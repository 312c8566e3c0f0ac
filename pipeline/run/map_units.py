"""The same pure function over many parts of a run, here or in several processes, in order."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any, Protocol, TypeVar

from pipeline.run.store import RunStore

Item = TypeVar("Item")
Shared = TypeVar("Shared")
Result = TypeVar("Result")


class Mapper(Protocol):
    """What maps a function over parts of a run: `map_run`, or one that has a cluster."""

    def __call__(
        self,
        run: RunStore,
        function: Callable[[RunStore, Shared, Item], Result],
        items: Sequence[Item],
        shared: Shared,
        *,
        workers: int,
    ) -> Iterator[Result]:
        """As `map_run`."""
        ...


MIN_ROWS_PER_WORKER = 50_000
"""Fewer rows are done sooner than a process has started."""
_AHEAD = 4

_state: tuple[RunStore, Callable[..., Any], Any] | None = None


def num_workers(num_rows: int, num_items: int, wanted: int = 0) -> int:
    """Processes that pay for so much work; `wanted` if it is given, but one for each item."""
    if wanted:
        return max(1, min(wanted, num_items))
    cores = len(os.sched_getaffinity(0))
    return max(1, min(cores, num_items, num_rows // MIN_ROWS_PER_WORKER))


def map_run(
    run: RunStore,
    function: Callable[[RunStore, Shared, Item], Result],
    items: Sequence[Item],
    shared: Shared,
    *,
    workers: int,
) -> Iterator[Result]:
    """`function(run, shared, item)` for every item, results in the order of the items.

    With more than one worker, `function` must be one of a module, and `shared` goes to each
    process once. An exception ends all.
    """
    if workers <= 1:
        yield from (function(run, shared, item) for item in items)
        return
    # Not fork: the caller may have threads (pyarrow has).
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        workers, mp_context=context, initializer=_start, initargs=(run.uri, function, shared)
    ) as pool:
        waiting: list[Future[Result]] = []
        try:
            for item in items:
                waiting.append(pool.submit(_do, item))
                # Results are kept no longer than needed: a unit's may be large.
                if len(waiting) > _AHEAD * workers:
                    yield waiting.pop(0).result()
            while waiting:
                yield waiting.pop(0).result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _start(uri: str, function: Callable[..., Any], shared: Any) -> None:
    global _state
    _state = (RunStore(uri), function, shared)


def _do(item: Any) -> Any:
    if _state is None:
        raise RuntimeError("the worker process was not initialised")
    run, function, shared = _state
    return function(run, shared, item)
