"""The process that keeps the review database: starts mongod, ends it when no client is left.

Run as `python -m pipeline.review.database.mongod_keeper HOME MONGOD`. Every client holds a
shared lock on one file, which the kernel releases however the client ends; when the keeper gets
that lock for itself, nobody uses the server any more. It imports only the standard library: it
lives as long as the server.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

from pipeline.review.child_process import (
    LOOPBACK,
    end_with_parent,
    free_port,
    log_tail,
    port_answers,
    stop_child,
)
from pipeline.review.home import ReviewHome
from pipeline.storage.lock_file import try_lock, wait_alone
from schemas.atomic import write_whole

POLL_S = 0.3
START_TIMEOUT_S = 120.0
STOP_PATIENCE_S = 30.0
# mongod's exit codes: 48 the port was taken meanwhile, 100 the files are still locked by a mongod
# that is ending.
RETRY_CODES = (48, 100)
ATTEMPTS = 8


def keep(home: ReviewHome, mongod: Path) -> int:
    """Run mongod until no client is left or SIGTERM comes; returns an exit code."""
    stopping = False

    def stop(signum: int, frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with home.keeper_lock.open("w") as own, home.clients_lock.open("w") as clients:
        wait_alone(own)
        started = _start(home, mongod)
        if started is None:
            return 1
        child, port = started
        try:
            _publish(home, {"port": port, "mongod_pid": child.pid, "keeper_pid": os.getpid()})
            while not stopping and child.poll() is None and not try_lock(clients):
                time.sleep(POLL_S)
        finally:
            home.endpoint.unlink(missing_ok=True)
            code = stop_child(child, patience_s=STOP_PATIENCE_S)
    return 0 if code == 0 else 1


def _start(home: ReviewHome, mongod: Path) -> tuple[subprocess.Popen[bytes], int] | None:
    home.database.mkdir(exist_ok=True)
    code: int | None = None
    for _ in range(ATTEMPTS):
        home.mongod_log.unlink(missing_ok=True)  # else mongod keeps every old log beside it
        port = free_port()
        child = subprocess.Popen(
            [
                *(str(mongod), "--dbpath", str(home.database), "--port", str(port)),
                *("--bind_ip", LOOPBACK, "--nounixsocket", "--logpath", str(home.mongod_log)),
                *("--wiredTigerCacheSizeGB", "1", "--quiet"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=end_with_parent,
        )
        deadline = time.monotonic() + START_TIMEOUT_S
        while child.poll() is None and time.monotonic() < deadline:
            if port_answers(port):
                return child, port
            time.sleep(0.1)
        if child.poll() is None:
            stop_child(child, patience_s=1.0)
            sys.stderr.write(f"mongod did not answer within {START_TIMEOUT_S:g} s\n")
            return None
        code = child.returncode
        if code not in RETRY_CODES:
            break
        time.sleep(2.0)
    sys.stderr.write(f"mongod ended with code {code}:\n{log_tail(home.mongod_log)}\n")
    return None


def _publish(home: ReviewHome, endpoint: dict[str, int]) -> None:
    write_whole(home.endpoint, json.dumps(endpoint).encode())


if __name__ == "__main__":
    sys.exit(keep(ReviewHome(Path(sys.argv[1])), Path(sys.argv[2])))
