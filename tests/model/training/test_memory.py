"""How a CPU run keeps its memory, in a process of its own: the settings last as long as it."""

from __future__ import annotations

import json
import subprocess
import sys

FAULTS = """
import json, resource, sys, threading
import torch
from model.training.memory import keep_freed_memory_of_threads

kept = sys.argv[1] == "keep" and keep_freed_memory_of_threads()
found = []

def work():
    for times in (4, 20):  # what comes first fills the memory that is kept
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(times):
            tensors = [torch.ones(2**18 * size) for size in (3, 8, 40)]
            del tensors
        found.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)

thread = threading.Thread(target=work)
thread.start()
thread.join()
print(json.dumps([kept, found[-1]]))
"""


def faults(how: str) -> tuple[bool, int]:
    """Whether memory was kept, and page faults of a thread that wants the same again."""
    out = subprocess.run(
        [sys.executable, "-c", FAULTS, how], capture_output=True, text=True, check=True, timeout=120
    )
    kept, number = json.loads(out.stdout)
    return kept, number


def test_a_thread_gets_the_memory_again_that_it_freed() -> None:
    is_kept, number = faults("keep")
    assert is_kept
    assert number < faults("leave")[1] / 4
