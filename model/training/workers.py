"""One process or many: the few collective operations that the training loop needs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Workers:
    """This process among `world_size`; with one process every operation is the identity."""

    rank: int = 0
    world_size: int = 1

    @classmethod
    def current(cls) -> Workers:
        """The process group that is initialised, or a single process."""
        if dist.is_available() and dist.is_initialized():
            return cls(dist.get_rank(), dist.get_world_size())
        return cls()

    @property
    def is_first(self) -> bool:
        """True in the process that writes files."""
        return self.rank == 0

    def sum(self, value: Tensor) -> Tensor:
        """The sum over all processes."""
        if self.world_size == 1:
            return value
        total = value.detach().clone()
        dist.all_reduce(total)
        return total

    def barrier(self) -> None:
        """Wait for all processes."""
        if self.world_size > 1:
            dist.barrier()

    def sum_counts(self, counts: Counter[str]) -> Counter[str]:
        """The sum of every process's counts."""
        if self.world_size == 1:
            return counts
        found: list[Counter[str]] = [Counter() for _ in range(self.world_size)]
        dist.all_gather_object(found, counts)
        total: Counter[str] = Counter()
        for part in found:
            total.update(part)
        return total

    def broadcast(self, tensors: Sequence[Tensor]) -> None:
        """Give every process the first one's values."""
        if self.world_size > 1:
            for tensor in tensors:
                dist.broadcast(tensor.detach(), src=0)
