from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn

from model.config import get_preset
from model.losses.glip_loss import GlipLoss
from model.network.glip import Glip
from model.network.grid import AnchorGrid
from model.training.batch import TrainBatch
from model.training.divergence import DivergenceError
from model.training.loop import Trainer
from model.training.optimizer import OptimizerOptions, RateRule
from model.training.stream import step_positions
from model.training.workers import Workers
from schemas.errors import ConfigError
from tests.model.training.test_loop import OPTIONS, trainer, weights
from tests.model.training.tiny import TinyGlip, grid, make_batch

TOLERANCE = 2e-6
"""Two workers add the same float32 numbers as one, in another order."""


TOY = replace(
    get_preset("glip-toy"),
    drop_path=0.0,
    dropblock=0.0,
    fusion_dropout=0.0,
    text=replace(get_preset("glip-toy").text, dropout=0.0),
)
"""Without random numbers, which a worker has of its own."""
TOY_OPTIONS = replace(
    OPTIONS,
    steps=3,
    batch_size=8,
    optimizer=OptimizerOptions(
        rate=1e-4, rules=(RateRule(pattern="backbone.body.layers.0.*", rate=0.0),)
    ),
    activation_checkpointing=("tower.*",),
)
KILLED_AT = 6


class WithUnused(TinyGlip):
    """A part of it is never asked."""

    def __init__(self) -> None:
        super().__init__(dropout=0.0)
        self.unused = nn.Linear(3, 3)


def toy_trainer(root: Path, accumulate: int) -> Trainer:
    torch.manual_seed(1)
    return Trainer(
        model=Glip(TOY),
        loss=GlipLoss(),
        grid=AnchorGrid(TOY, torch.device("cpu")),
        make_batch=make_batch,
        options=replace(TOY_OPTIONS, accumulate=accumulate),
        directory=root,
        fingerprint={},
    )


def _train_tiny(rank: int, root: Path) -> None:
    worker = trainer(root / "run", dropout=0.0)
    if rank:  # a worker that starts from other weights gets the first one's
        torch.nn.init.zeros_(worker.model.boxes.weight)
    worker.run()
    torch.save(weights(worker), root / f"tiny-{rank}.pt")


def _train_toy(rank: int, root: Path) -> None:
    """Frozen, recomputed and accumulated."""
    worker = toy_trainer(root / "toy", accumulate=2)
    worker.run()
    torch.save(dict(worker.model.named_parameters()), root / f"toy-{rank}.pt")


def _train_unused(rank: int, root: Path) -> None:
    torch.manual_seed(1)
    options = replace(OPTIONS, steps=3)
    worker = Trainer(
        model=WithUnused(),
        loss=GlipLoss(),
        grid=grid,
        make_batch=make_batch,
        options=options,
        directory=root / "unused",
        fingerprint={},
    )
    before = worker.model.unused.weight.detach().clone()
    worker.run()
    assert torch.equal(worker.model.unused.weight, before)
    assert worker.model.unused.weight.grad is None


def _train_killed(rank: int, root: Path) -> None:
    """With dropout; both die at the same step, and go on."""

    def dies(positions: Sequence[int]) -> TrainBatch:
        if positions[0] // OPTIONS.batch_size == KILLED_AT:
            raise ProcessLookupError("killed")
        return make_batch(positions)

    whole = trainer(root / "whole")
    whole.run()
    with pytest.raises(ProcessLookupError):
        trainer(root / "killed", batches=dies).run()
    resumed = trainer(root / "killed")
    assert 0 < resumed.run().first_step < KILLED_AT
    assert all(torch.equal(a, b) for a, b in zip(weights(whole), weights(resumed), strict=True))


def _diverge(rank: int, root: Path) -> None:
    def batches(positions: Sequence[int]) -> TrainBatch:
        batch = make_batch(positions)
        if 22 in positions:  # the second worker's half of step 5
            batch.images_B3HW[:] = float("nan")
        return batch

    with pytest.raises(DivergenceError) as stopped:
        trainer(root / "diverged", dropout=0.0, batches=batches).run()
    (root / f"stopped-{rank}").write_text(str(stopped.value))


def work(rank: int, root: Path) -> None:
    """One of two processes; what starts is dear, so that it does everything."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{root / 'store'}", rank=rank, world_size=2)
    for task in (_train_tiny, _train_toy, _train_unused, _train_killed, _diverge):
        task(rank, root)
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where two workers trained; each asserts what it alone can see."""
    root = tmp_path_factory.mktemp("two")
    mp.start_processes(work, args=(root,), nprocs=2, start_method="spawn")
    return root


def test_two_workers_are_one_with_twice_the_batch(root: Path, tmp_path: Path):
    whole = trainer(tmp_path / "one", dropout=0.0)
    whole.run()
    first, second = (torch.load(root / f"tiny-{rank}.pt") for rank in (0, 1))
    for a, b, wanted in zip(first, second, weights(whole), strict=True):
        assert torch.equal(a, b)
        assert torch.allclose(a, wanted, rtol=0, atol=TOLERANCE)


def test_so_they_are_with_frozen_recomputed_and_accumulated_parts(root: Path, tmp_path: Path):
    whole = toy_trainer(tmp_path / "one", accumulate=1)
    start = {name: value.clone() for name, value in whole.model.state_dict().items()}
    whole.run()
    first, second = (torch.load(root / f"toy-{rank}.pt") for rank in (0, 1))
    moved = 0
    for name, wanted in whole.model.named_parameters():
        assert torch.equal(first[name], second[name])
        frozen = torch.equal(wanted, start[name])
        assert frozen == torch.equal(first[name], start[name]), name
        moved += not frozen
        # Adam divides by the size of a gradient: where it is rounding alone, so is the step.
        off = (first[name] - wanted).detach().abs()
        assert float(off.max()) <= 2e-4 * 3, name
        assert float((off > 2e-6).float().mean()) < 0.02, name
    assert moved > 50


def test_all_workers_stop_where_one_diverges(root: Path):
    messages = [(root / f"stopped-{rank}").read_text() for rank in (0, 1)]
    assert all("stopped at step 5" in message for message in messages)
    assert "p22" in (root / "diverged" / "divergence-000000005-worker1.json").read_text()


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
