"""Exports of many boxes, and reading gold: CPU seconds as ratios against plain JSON, and memory.

    python -m tests.benchmarks.bench_export --boxes 1000000
    python -m tests.benchmarks.bench_export --boxes 200000 --gold

The reference of a format is dumping the same number of small dictionaries with `json.dumps`; the
reference of reading is `json.load` of the whole file, in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pipeline.export import FORMATS, ExportOptions, export_records
from pipeline.gold import load_gold
from schemas.records import CuratedBox, CuratedRecord, Phrase

BOXES_PER_PAIR = 23
CAPTION = "two kids fly a red kite over the old harbour while a dog sleeps on a stone wall"
WORDS = ("two kids", "a red kite", "the old harbour", "a dog", "a stone wall")
FILES = [name for name, chosen in FORMATS.items() if not chosen.is_folder]


def records(num_boxes: int) -> Iterator[CuratedRecord]:
    """Pairs with 23 boxes each, as a web corpus has them above a low threshold."""
    phrases = []
    for words in WORDS:
        start = CAPTION.index(words)
        head = words.split()[-1]
        phrases.append(Phrase(text=words, start=start, end=start + len(words), head=head))
    for number in range(-(-num_boxes // BOXES_PER_PAIR)):
        yield CuratedRecord(
            record_id=f"web/00000/{number}",
            source="web",
            image_uri=f"/data/web/{number:09d}.jpg",
            image_sha256=f"{number:064x}",
            width=640,
            height=480,
            caption=CAPTION,
            phrases=tuple(phrases),
            boxes=tuple(_box(number, place) for place in range(BOXES_PER_PAIR)),
            teacher_id="synthetic@0",
            policy_id="default@0",
            decisions_id="",
        )


def _box(number: int, place: int) -> CuratedBox:
    x, y = (number * 7 + place * 13) % 500 + 0.25, (number * 3 + place * 17) % 300 + 0.5
    return CuratedBox(
        box_id=f"web/00000/{number}#{place}",
        xyxy=(x, y, x + 100.125, y + 90.75),
        phrase_indices=(place % len(WORDS),),
        score=0.5 + place / 64,
        origin="teacher",
    )


def export(name: str, num_boxes: int, path: str) -> None:
    """Export in a format."""
    options = ExportOptions(image_root="/data")
    export_records(records(num_boxes), name, path, options)


def dump(name: str, num_boxes: int, path: str) -> None:
    """The reference: the records are made, and as many dictionaries are dumped."""
    with open(path, "w", encoding="utf-8") as out:
        for record in records(num_boxes):
            for box in record.boxes:
                row = {"image": record.image_uri, "bbox": box.xyxy, "score": box.score}
                out.write(json.dumps(row | {"phrase": record.phrases[0].text}) + "\n")


def read_gold(name: str, num_boxes: int, path: str) -> None:
    """Our reader."""
    gold = load_gold(path, name)
    print(f"    {gold.counts['boxes']:,} boxes")


def read_json(name: str, num_boxes: int, path: str) -> None:
    """The reference of reading."""
    json.loads(Path(path).read_bytes())


def _child(function: Callable[..., None], args: tuple[Any, ...], pipe: Any) -> None:
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    function(*args)
    spent = time.process_time() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pipe.send((spent, peak / 1024, base / 1024))


def measured(function: Callable[..., None], *args: Any) -> tuple[float, float, float]:
    """CPU seconds, peak MiB and MiB at the start, in a process of its own."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_child, args=(function, args, there))
    process.start()
    found: tuple[float, float, float] = here.recv()
    process.join()
    return found


def main() -> None:
    """Print a line per format."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--boxes", type=int, default=1_000_000)
    parser.add_argument("--formats", nargs="*", default=FILES)
    parser.add_argument("--gold", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        reference, peak, base = measured(dump, "", options.boxes, f"{folder}/reference")
        print(f"{'json.dumps':<16} {reference:7.1f} CPU s          peak {peak:6.0f} MiB")
        for name in options.formats:
            path = f"{folder}/out-{name}{FORMATS[name].extension}"
            spent, peak, base = measured(export, name, options.boxes, path)
            print(
                f"{name:<16} {spent:7.1f} CPU s  {spent / reference:5.2f}  peak {peak:6.0f} MiB "
                f"(start {base:.0f})",
                flush=True,
            )
            if options.gold and name in ("goldg", "coco"):
                known = {"goldg": "mdetr"}.get(name, name)
                whole, whole_peak, _ = measured(read_json, known, options.boxes, path)
                spent, peak, base = measured(read_gold, known, options.boxes, path)
                print(
                    f"  read {name:<10} {spent:6.1f} CPU s  {spent / whole:5.2f} of json.loads, "
                    f"peak {peak:6.0f} MiB (start {base:.0f}), json.loads {whole_peak:.0f}",
                    flush=True,
                )
            for file in Path(folder).iterdir():
                if file.name.startswith("out-"):
                    file.unlink()


if __name__ == "__main__":
    main()
