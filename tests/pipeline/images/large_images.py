"""Memory of a local labelling whose images are as large as is allowed, and larger.

    python -m tests.pipeline.images.large_images --json large.json

Twenty BMPs of 86 megapixels, 258 MB each, as files and as members of a tar; and twenty files of 300
MB, which are refused. A fake teacher, so that nothing but reading and decoding takes memory. The
driver counts without what it shares, the processes that it starts with it: pixels count once, and
the figure is rather too large.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import struct
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil

from tests.jobs.fake_label import all_rows

MIB = 2**20
SIDE = 9280


def write_bmp(path: Path, side: int) -> None:
    """A picture of `side` x `side` pixels, three bytes each."""
    row = bytes(range(256)) * (side * 3 // 256 + 1)
    width = (side * 3 + 3) // 4 * 4
    size = 54 + width * side
    with path.open("wb") as stream:
        stream.write(struct.pack("<2sIHHI", b"BM", size, 0, 0, 54))
        stream.write(struct.pack("<IiiHHIIiiII", 40, side, side, 1, 24, 0, 0, 0, 0, 0, 0))
        for _ in range(side):
            stream.write(row[:width])


def files(folder: Path, source: Path, number: int) -> str:
    """A corpus of so many names of one file."""
    folder.mkdir()
    lines = []
    for n in range(number):
        os.link(source, folder / f"{n}{source.suffix}")
        lines.append(json.dumps({"image": f"{n}{source.suffix}", "caption": f"a dog and a cat{n}"}))
    (folder / "data.jsonl").write_text("\n".join(lines) + "\n")
    return str(folder / "data.jsonl")


def tar(folder: Path, source: Path, number: int) -> str:
    """A WebDataset with the file as so many members."""
    folder.mkdir()
    caption = folder / "caption"
    caption.write_text("a dog and a cat")
    with tarfile.open(folder / "0.tar", "w", dereference=True) as archive:
        for n in range(number):
            archive.add(source, f"{n}{source.suffix}")
            archive.add(caption, f"{n}.txt")
    caption.unlink()
    return str(folder)


def tree_mib(process: psutil.Process) -> float:
    """Memory of a process and of all below it.

    One that is being started has the memory and the command line of its parent until it begins its
    program (vfork): it is not counted, as the driver would count twice.
    """
    found, words = process.memory_info(), process.cmdline()
    total = float(found.rss - found.shared)
    for one in process.children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            memory = one.memory_info().rss
            total += memory if one.cmdline() != words else 0
    return total / MIB


def measure(corpus: str, out: Path) -> dict[str, object]:
    """Label a corpus; the peak of the process tree and what became of the rows."""
    began, peak, start = time.monotonic(), 0.0, 0.0
    running = json.dumps({"runner": "local"})
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.jobs.fake_label", corpus, str(out), "{}", running],
        stdout=subprocess.DEVNULL,
    )
    process = psutil.Process(child.pid)
    while child.poll() is None:
        try:
            now = tree_mib(process)
        except psutil.NoSuchProcess:
            break
        start = start or (now if (out / "run.json").exists() else 0.0)
        peak = max(peak, now)
        time.sleep(0.25)
    return {
        "exit code": child.wait(),
        "peak MiB": round(peak),
        "MiB at the start": round(start),
        "seconds": round(time.monotonic() - began, 1),
        "rows": dict(Counter(str(row.status) for row in all_rows(out))),
    }


def main() -> int:
    """Measure each corpus; prints figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_bmp(folder / "x.bmp", SIDE)
        write_bmp(folder / "y.bmp", 10_000)  # 300 MB: beyond what is read
        corpora = {
            "files of 258 MB": files(folder / "large", folder / "x.bmp", options.images),
            "files of 300 MB": files(folder / "larger", folder / "y.bmp", options.images),
            "a tar of 258 MB": tar(folder / "tar", folder / "x.bmp", options.images // 2),
        }
        found = {
            what: measure(corpus, folder / f"run-{place}")
            for place, (what, corpus) in enumerate(corpora.items())
        }
    print(json.dumps(found, indent=1))
    if options.json:
        options.json.write_text(json.dumps(found) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
