"""What the start of a large run costs on an object store: this client's part, without the store's.

    python -m tests.benchmarks.bench_object_store --units 2500

The server is moto's, in a process of its own on loopback. Milliseconds for each planned unit: wall,
which is mostly that server, and CPU of this process, which is what a real store leaves.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import boto3

from pipeline.run.commit_unit import commit_unit
from pipeline.run.store import RunStore
from tests.pipeline.run.test_commits import planned, rows_of

Result = TypeVar("Result")
BUCKET = "bench"


@contextmanager
def server(port: int) -> Iterator[None]:
    """An empty bucket, and the variables with which every client finds it."""
    url = f"http://127.0.0.1:{port}"
    os.environ |= {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    program = str(Path(sys.executable).parent / "moto_server")
    process = subprocess.Popen(
        [program, "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while process.poll() is None:
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            time.sleep(0.2)
        boto3.client("s3", endpoint_url=url).create_bucket(Bucket=BUCKET)
        yield
    finally:
        process.terminate()
        process.wait()


def main() -> int:
    """Print a table and JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--units", type=int, default=2500)
    parser.add_argument("--port", type=int, default=21000 + os.getpid() % 4000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows: dict[str, dict[str, float]] = {}

    def step(name: str, work: Callable[[], Result]) -> Result:
        wall, cpu = time.perf_counter(), time.process_time()
        result = work()
        rows[name] = {
            "wall_ms": round(1000 * (time.perf_counter() - wall) / options.units, 3),
            "cpu_ms": round(1000 * (time.process_time() - cpu) / options.units, 3),
        }
        print(f"{name:<32}{rows[name]['wall_ms']:>8.2f} ms{rows[name]['cpu_ms']:>8.2f} CPU ms")
        return result

    with server(options.port):
        place = f"s3://{BUCKET}/run"
        new = planned(place, options.units)
        pending = step("what is to do, of a new run", new.pending)
        for number, unit in enumerate(pending[: int(options.units * 0.9)]):
            commit_unit(new, unit, rows_of(number), rows_in=4, teacher_id="t", seconds={})
        again = RunStore(place)
        again.plan()
        step("resume: read the markers", again.commits)
        step("resume: look at the files", again.recover)
        step("resume: what is to do", again.pending)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
