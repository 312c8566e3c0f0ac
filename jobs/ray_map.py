"""`map_run` on a Ray cluster: units of a run of any size, on every core that Ray has."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from pipeline.run.store import RunStore

Item = TypeVar("Item")
Shared = TypeVar("Shared")
Result = TypeVar("Result")

AHEAD = 2
"""Tasks in flight for each core: results come in order, and none waits long to be taken."""


def ray_map(
    run: RunStore,
    function: Callable[[RunStore, Shared, Item], Result],
    items: Sequence[Item],
    shared: Shared,
    *,
    workers: int,
) -> Iterator[Result]:
    """As `map_run`, as tasks of a Ray that is connected already; `workers` is what Ray says.

    A task whose node died is done again; the functions that are mapped write whole files whose
    names come from their content, so that a second time changes nothing. Every node must reach
    the run by the same address.
    """
    import ray

    task = ray.remote(num_cpus=1, max_retries=3)(_call)
    ahead = AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)))  # type: ignore[no-untyped-call]
    shared_ref = ray.put(shared)
    waiting: deque[Any] = deque()
    try:
        for item in items:
            waiting.append(task.remote(run.uri, function, shared_ref, item))
            if len(waiting) > ahead:
                yield _result(waiting.popleft())
        while waiting:
            yield _result(waiting.popleft())
    finally:
        for ref in waiting:
            ray.cancel(ref, force=False)


def _call(uri: str, function: Callable[..., Any], shared: Any, item: Any) -> Any:
    return function(RunStore(uri), shared, item)


def _result(ref: Any) -> Any:
    import ray

    try:
        return ray.get(ref)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error  # the same error as without Ray
