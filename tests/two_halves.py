"""All tests in two processes at once: the slow ones, which mostly wait, and the others.

    python -m tests.two_halves [ARGUMENTS OF PYTEST]

Each half is one pytest, whose tests come in the order of always: what is slow to start (Ray,
MongoDB, FiftyOne, a browser) is in the first half alone, and starts once. What the first half says
is shown as it comes, what the other says when both have ended. A `-m` of one's own has no halves:
that is `make unit`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from typing import IO

HALVES = ("slow", "not slow")
_NOTHING_TO_DO = 5
"""How pytest ends where it found no test: a half may have none of those that were asked for."""


def run_halves(args: list[str], out: IO[bytes]) -> int:
    """Run both and write to `out` what they said; pytest's exit code, the first that is not 0."""
    with tempfile.TemporaryFile() as said:
        halves = [_start(HALVES[0], args, out), _start(HALVES[1], args, said)]
        try:
            codes = [half.wait() for half in halves]
        except SystemExit:  # unlike Ctrl-C, which came to them too
            for half in halves:
                half.send_signal(signal.SIGINT)
            raise
        finally:
            for half in halves:  # they end what they started
                half.wait()
            said.seek(0)
            out.write(said.read())
            out.flush()
    if set(codes) == {_NOTHING_TO_DO}:
        return _NOTHING_TO_DO
    return next((code for code in codes if code not in (0, _NOTHING_TO_DO)), 0)


def _start(mark: str, args: list[str], out: IO[bytes]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "pytest", "-m", mark, *args]
    # Threads of networks that share cores with others wait for each other: one is quicker.
    env = {"OMP_NUM_THREADS": "1"} | os.environ
    return subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=env)


def main(args: list[str]) -> int:
    if any(word.startswith("-m") for word in args):
        print("-m chooses the halves; for a choice of your own: make unit PYTEST_ARGS=...")
        return 4
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    began = time.monotonic()
    code = run_halves(args, sys.stdout.buffer)
    minutes, seconds = divmod(round(time.monotonic() - began), 60)
    print(f"both halves {'passed' if code == 0 else 'ended'} in {minutes}:{seconds:02d}")
    return code


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
