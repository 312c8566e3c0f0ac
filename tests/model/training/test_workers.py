from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from model.training.divergence import DivergenceError
from model.training.stream import step_positions
from model.training.workers import Workers
from schemas.errors import ConfigError
from tests.model.training.test_loop import OPTIONS, trainer, weights
from tests.model.training.tiny import make_batch

TOLERANCE = 2e-6
"""Two workers add the same float32 numbers as one, in another order."""


def train_worker(rank: int, root: Path, poison: int) -> None:
    """One of two processes; leaves its weights, or the message of what stopped it."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{root / 'store'}", rank=rank, world_size=2)

    def batches(positions):
        batch = make_batch(positions)
        if poison in positions:
            batch.images_B3HW[:] = float("nan")
        return batch

    worker = trainer(root / "run", dropout=0.0, batches=batches)
    if rank:  # a worker that starts from other weights gets the first one's
        torch.nn.init.zeros_(worker.model.boxes.weight)
    try:
        worker.run()
        torch.save(weights(worker), root / f"weights-{rank}.pt")
    except DivergenceError as error:
        (root / f"stopped-{rank}").write_text(str(error))
    dist.destroy_process_group()


def two_workers(root: Path, poison: int = -1) -> None:
    mp.start_processes(train_worker, args=(root, poison), nprocs=2, start_method="spawn")


def test_two_workers_are_one_with_twice_the_batch(tmp_path):
    whole = trainer(tmp_path / "one", dropout=0.0)
    whole.run()
    two_workers(tmp_path)
    first, second = (torch.load(tmp_path / f"weights-{rank}.pt") for rank in (0, 1))
    for a, b, wanted in zip(first, second, weights(whole), strict=True):
        assert torch.equal(a, b)
        assert torch.allclose(a, wanted, rtol=0, atol=TOLERANCE)


def test_all_workers_stop_where_one_diverges(tmp_path):
    two_workers(tmp_path, poison=22)  # the second worker's half of step 5
    messages = [(tmp_path / f"stopped-{rank}").read_text() for rank in (0, 1)]
    assert all("stopped at step 5" in message for message in messages)
    assert "p22" in (tmp_path / "run" / "divergence-000000005-worker1.json").read_text()


@pytest.mark.parametrize("accumulate", [1, 2])
def test_every_position_is_seen_once(accumulate):
    seen = [
        position
        for step in range(3)
        for rank in range(2)
        for piece in step_positions(step, 8, accumulate, Workers(rank, 2))
        for position in piece
    ]
    assert seen == list(range(24))


def test_an_uneven_division_is_refused():
    with pytest.raises(ConfigError, match="8 images cannot be divided among 3 workers x 1"):
        step_positions(0, 8, 1, Workers(0, 3))
    assert replace(OPTIONS, batch_size=6).batch_size == 6


def test_one_process_needs_no_group():
    workers = Workers.current()
    value = torch.tensor([2.0])
    assert (workers.world_size, workers.is_first) == (1, True)
    assert workers.sum(value) is value
