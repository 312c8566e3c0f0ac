"""Memory that runs out: told apart from other errors, and answered with smaller batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from schemas.errors import RecordError
from schemas.records import Status

ItemT = TypeVar("ItemT")
AnswerT = TypeVar("AnswerT")
_SIGNS = ("not enough memory", "out of memory", "alloc_failed")
"""In what torch says; cuBLAS and cuDNN have a status of their own for it, ..._ALLOC_FAILED."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch had no memory, of a GPU or of the machine."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in _SIGNS)


def free_memory(device: torch.device) -> None:
    """Give back what torch keeps of a failed batch; outside of its handler, whose traceback would
    hold the batch's tensors."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


class ShrinkingBatches:
    """Batches that are halved when memory runs out, and stay so.

    Args:
        size: Items at once, to begin with.
        device: Where they are computed.
        what: One of them, for the message.
    """

    def __init__(self, size: int, device: torch.device, what: str) -> None:
        self.size = size
        self._device = device
        self._what = what

    def over(
        self, items: Sequence[ItemT], run: Callable[[Sequence[ItemT]], Sequence[AnswerT]]
    ) -> list[AnswerT]:
        """The answers of all items, in order.

        Raises:
            RecordError: there is not enough memory for a single one.
        """
        found: list[AnswerT] = []
        while len(found) < len(items):
            part = items[len(found) : len(found) + self.size]
            try:
                found += run(part)
                continue
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                detail = str(error).splitlines()[0]
            free_memory(self._device)
            if len(part) == 1:
                raise RecordError(
                    Status.TEACHER_FAILED, f"out of memory with one {self._what}: {detail}"
                )
            self.size = len(part) // 2
        return found
