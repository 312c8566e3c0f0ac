"""How much memory a run has needed, and how a CPU run keeps it."""

from __future__ import annotations

import ctypes
import resource
import sys

import torch

_GIB = 2**30
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # names of mallopt(3)


def peak_memory_gib(device: torch.device) -> float:
    """Largest memory so far in GiB: of the GPU's tensors, or of this process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / _GIB
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / _GIB


def keep_freed_memory() -> bool:
    """Make the C library keep what is freed instead of giving it back page by page.

    Every step of a CPU run frees and wants again the same large buffers; getting them zeroed from
    the system took 6 % of a glip-nano step. Returns False where the C library is not glibc.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    largest = 2**31 - 1
    return bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, largest))
