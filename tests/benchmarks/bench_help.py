"""What the help of every command costs: CPU seconds and memory, against an empty Python.

python -m tests.benchmarks.bench_help
"""

from __future__ import annotations

import os
import subprocess
import sys

from jobs.cli import COMMANDS

REPEATS = 3


def cost(*words: str) -> tuple[float, float]:
    """Least CPU seconds of some tries, and MiB, of a Python with these words."""
    seconds, mib = [], 0.0
    for _ in range(REPEATS):
        process = subprocess.Popen([sys.executable, *words], stdout=subprocess.DEVNULL)
        _, code, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(code)
        assert process.returncode == 0, words
        seconds.append(used.ru_utime + used.ru_stime)
        mib = used.ru_maxrss / 1024
    return min(seconds), mib


def main() -> None:
    """Print a row for each command."""
    empty, empty_mib = cost("-c", "")
    print(f"{'command':<12} CPU s   MiB   times an empty Python")
    print(f"{'(empty)':<12} {empty:.2f}  {empty_mib:5.0f}")
    for name in COMMANDS:
        seconds, mib = cost("-m", "glipforge", name, "--help")
        print(
            f"{name:<12} {seconds:.2f}  {mib:5.0f}   {seconds / empty:.0f}, {mib / empty_mib:.1f}"
        )


if __name__ == "__main__":
    main()
