"""Memory over a long labelling: private bytes of driver, workers, their parsers and decoders.

    python -m tests.benchmarks.bench_memory --rows 1000000 --json memory.json

A synthetic teacher, the real parser, Parquet in and out, two Ray workers. A line every so many
seconds; at the end the growth per million rows between a tenth of the run and its end.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import psutil

from jobs.commands.label.label import Running, label
from tests.benchmarks.synthetic import SyntheticSetup, write_pairs

MIB = 2**20
UNIT = 1000


def role(process: psutil.Process) -> str | None:
    """What a process is in the run; None for Ray's own."""
    words = " ".join(process.cmdline())
    if words.startswith("ray::LabelActor"):
        return "worker"
    if "pipeline.images.decoder_process" in words:
        return "decoder"
    return "parser" if "pipeline.phrases.parser_process" in words else None


def sample(out: Path) -> dict[str, Any]:
    """Private MiB by role, the greatest of each, and the rows committed."""
    found: dict[str, float] = defaultdict(float)
    for process in (psutil.Process(), *psutil.Process().children(recursive=True)):
        try:
            name = "driver" if process == psutil.Process() else role(process)
            memory = process.memory_info()
        except psutil.NoSuchProcess:
            continue
        if name:
            found[name] = max(found[name], round((memory.rss - memory.shared) / MIB, 1))
    markers = out / "_commits"
    units = sum(1 for _ in markers.iterdir()) if markers.exists() else 0
    return {"rows": units * UNIT, **found}


def growth(samples: list[dict[str, Any]], name: str) -> float | None:
    """MiB per million rows, by the least squares line over the last nine tenths."""
    last = samples[-1]["rows"]
    used = [s for s in samples if s["rows"] >= last / 10 and name in s]
    if len(used) < 3:
        return None
    x = [s["rows"] / 1e6 for s in used]
    y = [s[name] for s in used]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    spread = sum((a - mean_x) ** 2 for a in x)
    cross = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    return round(cross / spread, 1) if spread else None


def main() -> int:
    """Label, and print memory as it goes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--every", type=float, default=20.0, help="seconds between samples")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    samples: list[dict[str, Any]] = []
    stop = threading.Event()
    with tempfile.TemporaryDirectory() as name:
        corpus, out = write_pairs(Path(name) / "corpus", options.rows), Path(name) / "run"
        began = time.monotonic()

        def watch() -> None:
            while not stop.wait(options.every):
                samples.append({"s": round(time.monotonic() - began), **sample(out)})
                print(json.dumps(samples[-1]), flush=True)
                if options.json:
                    options.json.write_text(json.dumps(samples) + "\n")

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            code = label(
                SyntheticSetup(corpus=corpus),
                str(out),
                UNIT,
                Running(workers=options.workers, cpus_per_worker=1),
            )
        finally:
            stop.set()
            thread.join()
    for who in ("driver", "worker", "parser", "decoder"):
        values = [s[who] for s in samples if who in s]
        if values:
            print(
                f"{who}: {values[-1]} MiB at the end, at most {max(values)}, growth "
                f"{growth(samples, who)} MiB per million rows"
            )
    return code


if __name__ == "__main__":
    raise SystemExit(main())
