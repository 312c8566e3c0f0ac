"""Two ways to compute a part, side by side: what decides which of them a GPU gets."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from model.config import get_preset
from model.network.deform import DeformConv, deform_conv_by_level, deform_conv_by_rows
from model.network.fusion import BiAttention
from model.network.glip import Glip, level_sizes
from model.training.memory import peak_memory_gib
from tests.benchmarks.gpu.case import DTYPES, Case, Row, autocast, seconds_of, start_peak

WORDS = (32, 256)
"""Of a caption, and of a full list of names."""
Way = Callable[[], Sequence[Tensor]]


def measure_ways(case: Case) -> Generator[Row]:
    """One layer: its deformable convolutions of all levels, and its fusion.

    Errors are of the root mean square, against the first way in float32.
    """
    torch.manual_seed(0)
    layer: Any = Glip(get_preset(case.preset)).tower[0].eval().to(case.device)
    for batch in sorted({min(case.batches), max(case.batches)}):
        yield from _deformable(case, layer.vision.same.conv, batch)
        for words in WORDS if layer.fusion is not None else ():
            yield from _fusion(case, layer.fusion, batch, words)


def _deformable(case: Case, conv: DeformConv, batch: int) -> Iterator[Row]:
    channels = conv.weight.shape[1]
    sizes = level_sizes(case.height, case.width, 5)
    maps = [_noise(case, batch, channels, *size) for size in sizes]
    offsets = [_noise(case, batch, 18, *size) for size in sizes]
    masks = [_noise(case, batch, 9, *size).sigmoid() for size in sizes]
    inputs = (maps, offsets, masks, conv.weight, conv.bias)

    def by_rows(dtype: str) -> Way:
        return lambda: deform_conv_by_rows(*inputs, stride=1, table_dtype=DTYPES[dtype])

    ways: dict[str, Callable[[str], Way]] = {
        "deformable, torchvision by level": lambda _: (
            lambda: deform_conv_by_level(*inputs, stride=1)
        ),
        "deformable, rows": lambda _: by_rows("fp32"),
        "deformable, rows of half": by_rows,
    }
    yield from _compare(case, ways, batch)
    yield from _compare(case, dict(list(ways.items())[:2]), batch, learns=conv.weight)


def _fusion(case: Case, layer: BiAttention, batch: int, words: int) -> Iterator[Row]:
    count = sum(height * width for height, width in level_sizes(case.height, case.width, 5))
    v_BNV = layer.norm_v(_noise(case, batch, count, layer.norm_v.normalized_shape[0]))
    l_BTL = layer.norm_l(_noise(case, batch, words, layer.norm_l.normalized_shape[0]))
    mask_BT = torch.ones(batch, words, dtype=torch.int64, device=case.device)
    mask_BT[:, words // 2 :] = 0
    with torch.no_grad():
        v_BNV = v_BNV.detach()
        folded = layer._fold(l_BTL, mask_BT)
    ways: dict[str, Callable[[str], Way]] = {
        f"fusion, {words} words, in chunks": lambda _: (
            lambda: layer._attend_in_chunks(v_BNV, folded)[:2]
        ),
        f"fusion, {words} words, torch's kernel": lambda dtype: (
            lambda: layer._attend_fused(v_BNV, folded, DTYPES[dtype])[:2]
        ),
    }
    yield from _compare(case, ways, batch)


def _compare(
    case: Case,
    ways: dict[str, Callable[[str], Way]],
    batch: int,
    *,
    learns: Tensor | None = None,
) -> Iterator[Row]:
    """Each in every number format; with `learns` its gradient is asked for as well."""
    wanted: list[Tensor] | None = None
    for dtype in case.dtypes:
        for name, way in ways.items():
            if dtype == "fp32" and "half" in name:
                continue
            what = name if learns is None else f"{name}, trained"
            try:
                figures, found = _measure(case, way(dtype), dtype, learns)
            except RuntimeError as error:  # a kernel that does not know the format; memory
                failure = (str(error).splitlines() or [type(error).__name__])[0]
                yield Row(part="ways", what=what, dtype=dtype, batch=batch, failure=failure)
                continue
            wanted = wanted or found
            figures["error"] = _error(found, wanted)
            yield Row(part="ways", what=what, dtype=dtype, batch=batch, figures=figures)


def _measure(
    case: Case, way: Way, dtype: str, learns: Tensor | None
) -> tuple[dict[str, float | int | str], list[Tensor]]:
    def work() -> list[Tensor]:
        with torch.set_grad_enabled(learns is not None), autocast(case.device, dtype):
            found = list(way())
        if learns is not None:
            total = torch.stack([part.float().square().mean() for part in found]).sum()
            return list(torch.autograd.grad(total, learns))
        return found

    start_peak(case.device)
    seconds = seconds_of(work, case.device, case.min_seconds / 4)
    peak_gib = peak_memory_gib(case.device)
    # Kept on the CPU: what the next way needs of memory is its own.
    return {"ms": 1000 * seconds, "peak GiB": peak_gib}, [x.float().cpu() for x in work()]


def _error(found: Sequence[Tensor], wanted: Sequence[Tensor]) -> float:
    off = sum(float((a - b).square().sum()) for a, b in zip(found, wanted, strict=True))
    size = sum(float(b.square().sum()) for b in wanted)
    return (off / max(size, 1e-30)) ** 0.5


def _noise(case: Case, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(*shape, generator=generator).to(case.device)
