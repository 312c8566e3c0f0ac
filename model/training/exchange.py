"""Gradients summed over all workers while the backward pass still runs: torch's own
DistributedDataParallel."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from model.training.workers import Workers


class Exchange:
    """Calls a model so that every worker ends the step with the same gradients.

    Args:
        model: Frozen already where it is frozen; its parameters stay where they are.
        workers: This process among all; alone it is the model itself.
    """

    def __init__(self, model: nn.Module, workers: Workers) -> None:
        self._shared: DistributedDataParallel | None = None
        if workers.world_size > 1:
            self._shared = _distribute(model)
        self.forward: nn.Module = self._shared or model

    def during(self, *, is_last: bool) -> AbstractContextManager[Any]:
        """The context of a micro-batch: gradients travel with the last one of a step."""
        if self._shared is None or is_last:
            return nullcontext()
        kept: AbstractContextManager[Any] = self._shared.no_sync()
        return kept


class _WithUnused(nn.Module):
    """A model beside a number that no step uses: where all are used, torch warns in every worker
    that it looked in vain."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.unused = nn.Parameter(next(model.parameters()).detach().new_zeros(1))

    def forward(self, *inputs: Any) -> Any:
        return self.model(*inputs)


def _distribute(model: nn.Module) -> DistributedDataParallel:
    # Parameters that a step does not use are looked for, since a backbone may have some. It also
    # keeps the messages as they are from the first step on: without it they are sorted anew after
    # a step, and of three workers a resumed run would add in another order.
    shared = DistributedDataParallel(
        _WithUnused(model),
        forward_sync_buffers=False,
        find_unused_parameters=True,
        gradient_as_bucket_view=True,
        init_sync=False,
    )
    # A lambda, since torch compares the annotations of a hook with what it calls its types.
    shared.register_comm_hook(None, lambda _, bucket: _sum(bucket.buffer()))
    return shared


def _sum(gradients: Tensor) -> Any:
    """Not the mean that is usual: losses are divided by what the whole batch has already."""
    return dist.all_reduce(gradients, async_op=True).get_future().then(lambda done: done.value()[0])
