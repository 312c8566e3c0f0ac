"""Two drivers of one run, each stopped while the other takes over, and a network that drops.

    python -m tests.jobs.two_drivers --rounds 20 --seed 1

Both are the labelling command in processes of their own, on a store whose connections end without
an answer now and then, before or behind what was asked. The first is stopped (SIGSTOP), the second
takes its lock; the second is stopped, the first goes on; then both go on. The one whose lock is the
other's now stops with a sentence. No unit may be committed twice, and the rows are those of a run
that nobody disturbed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.run.store import RunStore
from tests.faulty_store import BUCKET, FaultyStore, faulty_store
from tests.jobs.fake_label import UNIT, all_rows, write_corpus

UNITS = 14
LOCK = {"beat_s": 0.2, "stale_s": 0.8}
LOCAL = json.dumps({"runner": "local", "attempts": 6})


class Driver:
    """One labelling process."""

    def __init__(self, corpus: str, out: str, log: Path) -> None:
        teacher = json.dumps({"delay_s": 0.02, "log": str(log)})
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.jobs.fake_label", corpus, out, teacher, LOCAL),
                json.dumps(LOCK),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def stop(self) -> None:
        os.killpg(self.process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.killpg(self.process.pid, signal.SIGCONT)

    def end(self) -> str:
        """Wait for the end; its words."""
        _, said = self.process.communicate(timeout=300)
        return said.decode()

    def kill(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def play(store: FaultyStore, folder: Path, *, seed: int, drops: float) -> dict[str, Any]:
    """One round; figures of it.

    Raises:
        AssertionError: a unit was committed twice, a row is lost or another, or an object that a
            marker names is not there.
    """
    rng = random.Random(seed)
    corpus = write_corpus(folder / "toy", UNITS, captions={5: "", 40: "it"})
    out, log = f"s3://{BUCKET}/two-{seed}-{os.getpid()}", folder / "log"
    markers = f"/{BUCKET}/{out.rpartition('/')[2]}/_commits/"

    def made() -> int:
        return sum(path.startswith(markers) for path in list(store.made))

    def wait_for(there: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + 300
        while not there() and any(one.process.poll() is None for one in drivers):
            assert time.monotonic() < deadline, what
            time.sleep(0.02)

    drivers = [Driver(corpus, out, log)]
    try:
        store.rng.seed(seed)
        store.drops = drops
        first = rng.randrange(1, 4)
        wait_for(lambda: made() >= first, "the first driver commits nothing")
        time.sleep(rng.random() * 0.2)
        drivers[0].stop()
        drivers.append(Driver(corpus, out, log))
        seen = made()
        wait_for(lambda: made() >= min(UNITS, seen + 3), "the second driver took nothing over")
        drivers[1].stop()
        drivers[0].go_on()
        time.sleep(rng.random() * 0.5)
        drivers[1].go_on()
        said = [driver.end() for driver in drivers]
        codes = [driver.process.returncode for driver in drivers]
    finally:
        for driver in drivers:
            driver.kill()
        store.drops = 0.0
    assert sorted(codes) in ([0, 0], [0, 1]), f"{codes}: {said}"
    for code, words in zip(codes, said, strict=True):
        # Who finds that the lock is the other's says so and stops; the other ends the run.
        assert ("another driver took the lock" in words) == (code == 1), words
        assert code == 0 or "the same command goes on once the other has ended" in words, words
    assert not any("Traceback" in words for words in said), said
    twice = {path: n for path, n in store.made.items() if path.startswith(markers) and n != 1}
    assert not twice, f"committed more than once: {twice}"
    assert made() == UNITS
    rows = all_rows(out)  # reads every object that a marker names, with its hash
    assert len({row.record_id for row in rows}) == len(rows) == UNITS * UNIT
    assert RunStore(out).is_complete()
    return {
        "asked twice": len(log.read_text().splitlines()) - (UNITS * UNIT - 2),
        "saw the other": sum("another driver took the lock" in words for words in said),
        **store.dropped,
    }


def main() -> int:
    """Play rounds; prints their figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--drops", type=float, default=0.06)
    options = parser.parse_args()
    total = Counter[str]()
    with faulty_store() as store:
        for number in range(options.rounds):
            store.dropped.clear()
            with tempfile.TemporaryDirectory() as folder:
                total.update(
                    play(store, Path(folder), seed=options.seed + number, drops=options.drops)
                )
            print(number, dict(total), file=sys.stderr)
    print(json.dumps({"rounds": options.rounds, **total}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
