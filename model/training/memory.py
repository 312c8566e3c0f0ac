"""How much memory a run has needed, and how a CPU run keeps it."""

from __future__ import annotations

import ctypes
import resource
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_GIB = 2**30
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -2, -4, -8  # of mallopt(3)
_THREAD_HEAP = 64 * 2**20  # of glibc: what threads with an arena of their own get at a time
KEPT_BY_THREADS = 256 * 2**20


def peak_memory_gib(device: torch.device) -> float:
    """Largest memory so far in GiB: of the GPU's tensors, or of this process on a CPU."""
    if device.type == "cuda":
        import torch  # here: `share_one_arena` is called before anything is loaded

        return torch.cuda.max_memory_allocated(device) / _GIB
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / _GIB


def keep_freed_memory() -> bool:
    """Make the C library keep what is freed instead of giving it back page by page.

    Every step of a CPU run frees and wants again the same large buffers; getting them zeroed from
    the system took 6 % of a glip-nano step. Returns False where the C library is not glibc.
    """
    return _set_malloc({_M_MMAP_MAX: 0, _M_TRIM_THRESHOLD: 2**31 - 1})


def keep_freed_memory_of_threads() -> bool:
    """`keep_freed_memory` for a network that several threads ask: up to `KEPT_BY_THREADS`.

    The forward of a Grounding DINO of its authors' size took a third less CPU time. Threads share
    one arena where they have none yet; those that have one keep its heaps, and so do those that
    get the arena of a thread that ended: see `share_one_arena`. Returns False where the C library
    is not glibc.
    """
    return _set_malloc(
        {
            _M_ARENA_MAX: 1,
            _M_MMAP_MAX: 0,
            _M_TRIM_THRESHOLD: KEPT_BY_THREADS,
            _M_TOP_PAD: _THREAD_HEAP,
        }
    )


def share_one_arena() -> bool:
    """Give no thread an arena of its own, so that what one freed is there for the next.

    To be called before any thread is started, thus before it is known what will be loaded: it loads
    nothing itself. Returns False where the C library is not glibc.
    """
    return _set_malloc({_M_ARENA_MAX: 1})


def _set_malloc(settings: dict[int, int]) -> bool:
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return all([bool(mallopt(name, value)) for name, value in settings.items()])
