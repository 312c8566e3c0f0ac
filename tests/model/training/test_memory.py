"""How a CPU run keeps its memory, in a process of its own: the settings last as long as it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

FAULTS = """
import json, resource, sys, threading
from model.training.memory import keep_freed_memory_of_threads

kept = sys.argv[1] == "keep" and keep_freed_memory_of_threads()
found = []

def work():
    for times in (4, 20):  # what comes first fills the memory that is kept
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(times):
            arrays = [bytearray(2**20 * size) for size in (3, 8, 40)]
            del arrays
        found.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)

thread = threading.Thread(target=work)
thread.start()
thread.join()
print(json.dumps([kept, found[-1]]))
"""
ARENAS = """
import ctypes, pathlib, sys, threading
from jobs.cli import main
from model.training.memory import share_one_arena

c = ctypes.CDLL(None)
c.fopen.restype = ctypes.c_void_p

def arenas():
    stream = ctypes.c_void_p(c.fopen(sys.argv[1].encode(), b"w"))
    c.malloc_info(0, stream)
    c.fclose(stream)
    return pathlib.Path(sys.argv[1]).read_text().count("<heap nr=")

words = sys.argv[2:]
if words:
    assert main(words) == 2  # there is no such corpus, which is found after the call
before = arenas()
met = threading.Barrier(5)

def work():
    held = [bytearray(600 + n) for n in range(2000)]
    met.wait()

for _ in range(4):
    threading.Thread(target=work).start()
met.wait()
print(arenas() - before)
"""


def printed(program: str, *words: str) -> str:
    """By a process of its own, in its last line."""
    out = subprocess.run(
        [sys.executable, "-c", program, *words],
        capture_output=True,
        text=True,
        check=True,
        timeout=400,
    )
    return out.stdout.splitlines()[-1]


def faults(how: str) -> tuple[bool, int]:
    """Whether memory was kept, and page faults of a thread that wants the same again."""
    kept, number = json.loads(printed(FAULTS, how))
    return kept, number


def test_a_thread_gets_the_memory_again_that_it_freed() -> None:
    is_kept, number = faults("keep")
    assert is_kept
    assert number < faults("leave")[1] / 4


LABEL = ["label", "--corpus", "no/such/corpus", "--out"]


@pytest.mark.parametrize(
    "words, more",
    [
        ([*LABEL, "RUN"], True),
        ([*LABEL, "RUN", "--runner", "local"], False),
        ([*LABEL, "RUN", "--dry-run", "5", "--device", "cpu"], False),
    ],
)
def test_threads_of_a_labelling_here_share_one_arena(
    words: list[str], more: bool, tmp_path
) -> None:
    words = [str(tmp_path / "run") if word == "RUN" else word for word in words]
    assert (int(printed(ARENAS, str(tmp_path / "arenas.xml"), *words)) > 0) == more
