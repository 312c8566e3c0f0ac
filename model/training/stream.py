"""Which batches a worker sees: slices of the one stream of positions."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from model.inputs.preprocess import PackedImages
from model.training.batch import TrainBatch
from model.training.workers import Workers
from schemas.errors import ConfigError, RetryableError

_DEATHS = ("DataLoader worker (pid", "shared memory", "torch_shm_manager")
"""In what torch says when a loader's process is gone or cannot hand over a batch."""
_RAISED_THERE = "in DataLoader worker process"
"""In what torch says when a loader's process lives and raised."""
_Shipped = tuple[PackedImages | Tensor, bytes]


def step_positions(step: int, batch_size: int, accumulate: int, workers: Workers) -> list[range]:
    """Positions of each micro-batch of this worker at `step`.

    The step owns `batch_size` consecutive positions; every worker takes a consecutive part of
    them, and every micro-batch a consecutive part of that.

    Raises:
        ConfigError: the batch cannot be divided evenly.
    """
    parts = workers.world_size * accumulate
    if batch_size % parts:
        raise ConfigError(
            f"a batch of {batch_size} images cannot be divided among {workers.world_size} "
            f"workers x {accumulate} micro-batches"
        )
    size = batch_size // parts
    start = step * batch_size + workers.rank * accumulate * size
    return [range(start + k * size, start + (k + 1) * size) for k in range(accumulate)]


class _PositionDataset(Dataset):
    """Maps a micro-batch's positions to the batch; the loader's processes each own a copy.

    Between processes a tensor costs a handle, which is dear: only the images get one, the many
    small tensors travel together as bytes.
    """

    def __init__(self, make_batch: Callable[[Sequence[int]], TrainBatch]) -> None:
        self._make_batch = make_batch

    def __getitem__(self, positions: Sequence[int]) -> _Shipped:  # type: ignore[override]
        batch = self._make_batch(positions)
        return batch.images, pickle.dumps(batch._replace(images=torch.empty(0)))


def _ahead(loader: Iterable[_Shipped]) -> Iterator[TrainBatch]:
    """Its batches; the next one is taken out of the other process while this one is trained on.

    The loader is started in a thread of its own, not only read there. From the main thread torch
    installs a SIGCHLD handler, which raises the death of a loader's process wherever the main
    thread happens to be: in the middle of writing a checkpoint, too. Here the death is found by
    whoever waits for a batch, and raised where the batch is asked for.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="batches") as pool:
        shipped = pool.submit(iter, loader).result()
        following = pool.submit(_take, shipped)
        try:
            while (arrived := following.result()) is not None:
                following = pool.submit(_take, shipped)
                yield _receive(arrived)
        finally:
            del shipped, following  # else an exception holds both, and they hold it


def _receive(shipped: _Shipped) -> TrainBatch:
    images, rest = shipped
    batch: TrainBatch = pickle.loads(rest)
    return batch._replace(images=images)


def _take(shipped: Iterator[_Shipped]) -> _Shipped | None:
    """The next batch of the other processes, None after the last.

    Raises:
        RetryableError: a process was killed, or the memory that it shares ran out.
    """
    try:
        return _next(shipped)
    except (RuntimeError, OSError, EOFError) as error:
        said = str(error)
        if not _is_a_death(error):
            raise
        reason = (said.strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise RetryableError(
            f"a process that makes batches was lost ({reason}); usually the memory or /dev/shm was "
            "full: give fewer --loader-processes (0: none) or more of either. The same command "
            "goes on from the last checkpoint"
        ) from error


def _next(shipped: Iterator[_Shipped]) -> _Shipped | None:
    try:
        return next(shipped, None)
    except BaseException as error:
        # torch's frames hold the error that holds them, and the loader: its processes would end
        # when the garbage collector comes by, which then waits five seconds for each.
        traceback.clear_frames(error.__traceback__)
        raise


def _is_a_death(error: Exception) -> bool:
    """Whether torch found a process gone, or a batch that it had made could not be fetched."""
    if isinstance(error, RuntimeError):
        return any(sign in str(error) for sign in _DEATHS)
    lost = isinstance(error, ConnectionError | EOFError | FileNotFoundError)
    return lost and _RAISED_THERE not in str(error)


def iter_steps(
    make_batch: Callable[[Sequence[int]], TrainBatch],
    steps: range,
    *,
    batch_size: int,
    accumulate: int,
    workers: Workers,
    num_processes: int,
) -> Iterator[list[TrainBatch]]:
    """The micro-batches of every step, in order.

    Args:
        make_batch: Positions of the stream -> batch.
        steps: From the first step that is still to be done.
        batch_size: Images of a step over all workers.
        accumulate: Micro-batches of a step and worker.
        workers: This process among all.
        num_processes: Processes that make batches ahead; 0: here, when asked.
    """
    pieces = (
        piece for step in steps for piece in step_positions(step, batch_size, accumulate, workers)
    )
    if num_processes == 0:
        batches: Iterator[TrainBatch] = (make_batch(piece) for piece in pieces)
    else:
        loader = DataLoader(
            _PositionDataset(make_batch),
            sampler=pieces,
            batch_size=None,  # a piece is a whole batch already
            collate_fn=lambda shipped: shipped,
            num_workers=num_processes,
            multiprocessing_context="fork",
            prefetch_factor=4,
        )
        batches = _ahead(loader)
    for _ in steps:
        yield [next(batches) for _ in range(accumulate)]
