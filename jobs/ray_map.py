"""`map_run` on a Ray cluster: units of a run of any size, on every core that Ray has."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
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
    needs: Mapping[str, Any] | None = None,
    on_lost: Callable[[Item, Exception], Result] | None = None,
) -> Iterator[Result]:
    """As `map_run`, as tasks of a Ray that is connected already; `workers` is what Ray says.

    Args:
        run, function, items, shared, workers: As for `map_run`.
        needs: What a task takes of the cluster; one CPU if not given.
        on_lost: Makes the result of an item whose tasks died again and again; raised if not given.

    A task whose node died is done again; the functions that are mapped write whole files whose
    names come from their content, so that a second time changes nothing. Every node must reach
    the run by the same address.
    """
    import ray

    options: dict[str, Any] = {"num_cpus": 1, "max_retries": 3, **(needs or {})}
    # Else Ray gives a task with a GPU a process of its own, which would load the model anew.
    task = ray.remote(**options, max_calls=0)(_call)
    ahead = AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)))  # type: ignore[no-untyped-call]
    shared_ref = ray.put(shared)
    waiting: deque[tuple[Item, Any]] = deque()
    try:
        for item in items:
            waiting.append((item, task.remote(run.uri, function, shared_ref, item)))
            if len(waiting) > ahead:
                yield _result(*waiting.popleft(), on_lost)
        while waiting:
            yield _result(*waiting.popleft(), on_lost)
    finally:
        for _, ref in waiting:
            ray.cancel(ref, force=False)


def _call(uri: str, function: Callable[..., Any], shared: Any, item: Any) -> Any:
    return function(RunStore(uri), shared, item)


def _result(item: Any, ref: Any, on_lost: Callable[[Any, Exception], Any] | None) -> Any:
    import ray

    try:
        return ray.get(ref)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error  # the same error as without Ray
    except ray.exceptions.RayError as error:
        if on_lost is None:
            raise
        return on_lost(item, error)
