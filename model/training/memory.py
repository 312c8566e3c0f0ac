"""How much memory a run has needed so far."""

from __future__ import annotations

import resource
import sys

import torch

_GIB = 2**30


def peak_memory_gib(device: torch.device) -> float:
    """Largest memory so far in GiB: of the GPU's tensors, or of this process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / _GIB
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / _GIB
