"""Batches that are halved when memory runs out."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from model.out_of_memory import ShrinkingBatches, is_out_of_memory
from schemas.errors import RecordError

CPU = torch.device("cpu")


class Doubles:
    """Twice each number, of at most so many at once."""

    def __init__(self, fits: int) -> None:
        self.fits = fits
        self.sizes: list[int] = []

    def __call__(self, numbers: Sequence[int]) -> list[int]:
        self.sizes.append(len(numbers))
        if len(numbers) > self.fits:
            raise torch.OutOfMemoryError("CUDA out of memory (fake).\nmore lines")
        return [2 * number for number in numbers]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 16])
@pytest.mark.parametrize("fits", [1, 2, 5, 100])
@pytest.mark.parametrize("count", [0, 1, 2, 13])
def test_every_item_is_answered_once_and_in_order(count: int, fits: int, size: int) -> None:
    batches, run = ShrinkingBatches(size, CPU, "number"), Doubles(fits)
    assert batches.over(range(count), run) == [2 * n for n in range(count)]
    run.sizes.clear()
    batches.over(range(count), run)
    assert max(run.sizes, default=0) <= fits


def test_one_item_that_does_not_fit_is_said() -> None:
    said = r"teacher_failed: out of memory with one number: CUDA out of memory \(fake\)\.$"
    with pytest.raises(RecordError, match=said):
        ShrinkingBatches(8, CPU, "number").over([1, 2], Doubles(0))


def test_another_error_stays_what_it_is() -> None:
    def wrong(numbers: Sequence[int]) -> list[int]:
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        ShrinkingBatches(8, CPU, "number").over([1, 2], wrong)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("x"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate"), True),
        (RuntimeError("CUDA error: device-side assert triggered"), False),
    ],
)
def test_whatis_out_of_memory(error: RuntimeError, expected: bool) -> None:
    assert is_out_of_memory(error) is expected
