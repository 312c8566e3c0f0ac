"""Several workers of one training: gradients summed during the backward pass, as the training does,
against one flat message after it, as it did before.

    python -m tests.benchmarks.bench_workers --workers 1 2 4

Each worker is a process with one thread, on this machine, over gloo. Both ways are timed in turns
of a few steps in the same processes, with the same batches; figures are medians over the turns. On
a CPU the exchange takes the same cores as the arithmetic, so that little can overlap: what is
measured here is that it costs nothing, not what it saves on GPUs. Only with a core for each worker
do seconds tell how the work scales.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn

from model.config import get_preset
from model.losses.glip_loss import GlipLoss
from model.network.glip import Glip
from model.network.grid import AnchorGrid
from model.training.memory import keep_freed_memory
from model.training.options import TrainOptions
from model.training.schedule import ScheduleOptions
from model.training.step import TrainStep
from model.training.workers import Workers
from tests.benchmarks.bench_train import make_batches

WAYS = ("overlapped", "flat")


class FlatExchange:
    """What the training did before: one message for each dtype, after the backward pass."""

    def __init__(self, model: nn.Module, parameters: Sequence[Tensor]) -> None:
        self.forward = model
        self._parameters = parameters

    @contextmanager
    def during(self, *, is_last: bool) -> Iterator[None]:
        """Sums after the last micro-batch."""
        yield
        if not is_last or not dist.is_initialized() or dist.get_world_size() == 1:
            return
        for parameter in self._parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        gradients = [parameter.grad for parameter in self._parameters if parameter.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(flat)
        parts = flat.split([gradient.numel() for gradient in gradients])
        torch._foreach_copy_(
            gradients, [p.view_as(g) for p, g in zip(parts, gradients, strict=True)]
        )


def make_step(way: str, preset: str, batch: int) -> TrainStep:
    """A network of its own, so that neither way sees the other's hooks."""
    torch.manual_seed(0)
    config = get_preset(preset)
    model = Glip(config)
    workers = Workers.current()
    step = TrainStep(
        model=model,
        loss=GlipLoss(),
        grid=AnchorGrid(config, torch.device("cpu")),
        options=TrainOptions(
            steps=10_000,
            batch_size=batch * workers.world_size,
            recompute=False,
            schedule=ScheduleOptions(kind="constant"),
        ),
        directory=Path(tempfile.gettempdir()),
        device=torch.device("cpu"),
        workers=workers if way == "overlapped" else Workers(),
    )
    if way == "flat":
        step.workers = workers
        step._exchange = FlatExchange(model, step._parameters)  # type: ignore[assignment]
    step.train_mode()
    return step


def work(rank: int, world: int, root: str, options: argparse.Namespace) -> None:
    """One worker; the first one writes the figures."""
    torch.set_num_threads(1)
    keep_freed_memory()
    dist.init_process_group(
        "gloo", init_method=f"file://{root}/store-{world}", rank=rank, world_size=world
    )
    steps = {way: make_step(way, options.preset, options.batch) for way in WAYS}
    batches = make_batches(options.preset, options.side, options.batch, 2)
    found: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    losses = {}
    for turn in range(options.turns + 1):
        for way in WAYS:
            dist.barrier()
            wall, cpu = time.perf_counter(), time.process_time()
            for number in range(options.steps):
                losses[way] = steps[way](turn * options.steps + number, [batches[number % 2]])[0]
            spent = time.perf_counter() - wall, time.process_time() - cpu
            if turn:  # the first one makes the buffers
                found[way].append((spent[0] / options.steps, spent[1] / options.steps))
    if rank == 0:
        medians = {
            way: [statistics.median(column) for column in zip(*turns, strict=True)]
            for way, turns in found.items()
        }
        medians["difference of losses"] = [
            abs(sum(losses["flat"].values()) - sum(losses["overlapped"].values()))
        ]
        Path(root, f"{world}.json").write_text(json.dumps(medians))
    dist.destroy_process_group()


def main() -> None:
    """A line for each number of workers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--preset", default="glip-nano")
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--batch", type=int, default=4, help="images of a worker's step")
    parser.add_argument("--steps", type=int, default=4, help="of a turn")
    parser.add_argument("--turns", type=int, default=5)
    options = parser.parse_args()
    parameters = sum(p.numel() for p in Glip(get_preset(options.preset)).parameters())
    print(f"{options.preset}, {parameters / 1e6:.1f} M parameters, {os.cpu_count()} cores")
    first = 0.0
    with tempfile.TemporaryDirectory() as root:
        for world in options.workers:
            mp.start_processes(
                work, args=(world, root, options), nprocs=world, start_method="spawn"
            )
            found = json.loads(Path(root, f"{world}.json").read_text())
            (wall, cpu), (old_wall, old_cpu) = found["overlapped"], found["flat"]
            rate = world * options.batch / wall
            first = first or rate / world
            print(
                f"{world} workers: {1000 * wall:.0f} ms a step, {rate:.1f} images/s "
                f"({rate / first:.2f} of one worker's); of the old way's: "
                f"{wall / old_wall:.2f} wall, {cpu / old_cpu:.2f} CPU; losses differ by "
                f"{found['difference of losses'][0]:.1e}; load {os.getloadavg()[0]:.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
