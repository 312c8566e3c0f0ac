"""Speed and memory of one model, each part apart, as a table and as JSON.

    python -m tests.benchmarks.bench_model --presets glip-t --sizes 800x1088 --json OUT.json

Each row runs in a process of its own, with random weights loaded from a model directory, through
the teacher as labelling does: resize, network, boxes. CPU seconds are the process's own, over all
threads. Where the reference's record for the same work is known, the ratio to it is printed; it was
taken on two shared cores of another machine (docs/glip.md section 16), so the ratio compares
machines too.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import nn

from model.config import get_preset
from model.files.directory import save_pretrained
from model.inputs.tokenizer import SHIPPED_VOCAB
from model.network.glip import Glip
from model.teacher.glip import Teacher
from model.teacher.load import load_teacher
from model.teacher.options import TeacherOptions
from schemas.grounder import GroundingRequest
from schemas.records import Phrase

CAPTION = "a white cup of black coffee on a brown wooden table with a silver teaspoon ."
WORDS = ((0, 11), (15, 27), (31, 51), (57, 74))
# CPU seconds of the reference by preset, size and prompt, from its authors' code on CPU.
REFERENCE_CPU_S = {
    ("glip-t", "800x1088", "caption"): 28.9,
    ("glip-t", "800x1088", "40"): 28.9,
    ("glip-t", "800x1088", "1203"): 34.8 * 31,
    ("glip-t", "480x640", "caption"): 10.6,
    ("glip-t", "480x640", "40"): 10.6,
    ("glip-t-a", "480x640", "caption"): 4.5,
    ("glip-t-a", "480x640", "40"): 4.5,
    ("glip-l", "480x640", "caption"): 19.8,
    ("glip-l", "480x640", "40"): 19.8,
}
PARTS = {
    "backbone": "backbone",
    "pyramid": "pyramid",
    "text_encoder": "text",
    "fusion": "fusion",
    "language": "words",
    "vision": "dynamic head",
    "head": "outputs",
}


def class_names(count: int) -> tuple[str, ...]:
    """Different names of one to three words, about 2.7 word pieces each with their full stop."""
    vocabulary = SHIPPED_VOCAB.read_text(encoding="utf-8").split("\n")
    words = [word for word in vocabulary if word.isalpha() and 4 <= len(word) <= 9][2000:]
    names = []
    for number in range(count):
        first = number * 3
        names.append(" ".join(words[first : first + (1, 1, 2, 1, 3)[number % 5]]))
    return tuple(names)


class Clock:
    """Wall and CPU seconds by part of the network."""

    def __init__(self, model: Glip) -> None:
        self.seconds: dict[str, list[float]] = {}
        for path, module in model.named_modules():
            name = PARTS.get(path) or PARTS.get(path.rpartition(".")[2])
            if name and (path in PARTS or path.startswith("tower")):
                self._watch(module, name)

    def _watch(self, module: nn.Module, name: str) -> None:
        started: list[tuple[float, float]] = []

        def before(*_: object) -> None:
            started.append(now())

        def after(*_: object) -> None:
            total = self.seconds.setdefault(name, [0.0, 0.0])
            for place, (end, start) in enumerate(zip(now(), started.pop(), strict=True)):
                total[place] += end - start

        module.register_forward_pre_hook(before)
        module.register_forward_hook(after)


def now() -> tuple[float, float]:
    """Wall and CPU seconds; a GPU's work is waited for."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter(), time.process_time()


def measure(case: dict[str, Any]) -> dict[str, Any]:
    """One row, in this process."""
    if case["threads"]:
        torch.set_num_threads(case["threads"])
    height, width = map(int, case["size"].split("x"))
    teacher = load_teacher(
        case["directory"],
        device=case["device"],
        options=TeacherOptions(
            precision=case["dtype"],
            batch_size=case["batch"],
            max_names=case["max_names"],
            min_size=min(height, width),
            max_size=max(height, width),
        ),
    )
    model: Any = teacher._model
    if case["compile"]:
        model.backbone.compile()
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 255, (height, width, 3), np.uint8) for _ in range(case["batch"])]
    ask = _question(teacher, images, case["prompt"])
    for _ in range(case["warmup"]):
        ask()
    clock = Clock(model)
    best: dict[str, Any] = {"cpu_s": float("inf")}
    for _ in range(case["repeats"]):
        clock.seconds.clear()
        start = now()
        ask()
        wall, cpu = (end - begin for end, begin in zip(now(), start, strict=True))
        if cpu < best["cpu_s"]:
            parts = {name: round(cpu_s, 3) for name, (_, cpu_s) in clock.seconds.items()}
            walls = {name: round(wall_s, 3) for name, (wall_s, _) in clock.seconds.items()}
            best = {"cpu_s": cpu, "wall_s": wall, "parts_cpu_s": parts, "parts_wall_s": walls}
    count = case["batch"]
    reference = REFERENCE_CPU_S.get((case["preset"], case["size"], case["prompt"]))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    if case["device"].startswith("cuda"):
        peak = torch.cuda.max_memory_allocated() / 2**30
    return {
        **case,
        **best,
        "cpu_s_per_image": best["cpu_s"] / count,
        "images_per_s": count / best["wall_s"],
        "peak_gib": peak,
        "of_reference": best["cpu_s"] / count / reference if reference else None,
        "load": Path("/proc/loadavg").read_text().split()[0],
    }


def write_model(preset: str, directory: str) -> None:
    """A model directory with random weights."""
    torch.manual_seed(0)
    save_pretrained(Glip(get_preset(preset)), directory)


def _question(teacher: Teacher, images: list[np.ndarray], prompt: str) -> Callable[[], object]:
    if prompt == "caption":
        phrases = tuple(
            Phrase(text=CAPTION[start:end], start=start, end=end) for start, end in WORDS
        )
        requests = [
            GroundingRequest(image=image, caption=CAPTION, phrases=phrases) for image in images
        ]
        return lambda: teacher.ground(requests)
    names = class_names(int(prompt))
    return lambda: teacher.detect_batch(images, names)


def table(rows: list[dict[str, Any]]) -> str:
    """Lines of text."""
    lines = [
        f"{'preset':9} {'size':>9} {'batch':>5} {'dtype':>8} {'prompt':>8} {'img/s':>7} "
        f"{'CPU s/img':>9} {'of ref.':>7} {'peak GiB':>8}  CPU s by part"
    ]
    for row in rows:
        share = f"{row['of_reference']:.2f}" if row["of_reference"] else "-"
        parts = ", ".join(f"{name} {value:.2f}" for name, value in row["parts_cpu_s"].items())
        prompt = row["prompt"] + (f"/{row['max_names']}" if row["max_names"] else "")
        lines.append(
            f"{row['preset']:9} {row['size']:>9} {row['batch']:5} {row['dtype']:>8} "
            f"{prompt:>8} {row['images_per_s']:7.2f} {row['cpu_s_per_image']:9.2f} "
            f"{share:>7} {row['peak_gib']:8.2f}  {parts}"
        )
    return "\n".join(lines)


def _in_a_process(*arguments: str) -> str:
    command = [sys.executable, "-m", "tests.benchmarks.bench_model", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def main() -> int:
    """Measure every combination."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--presets", nargs="+", default=["glip-t"])
    parser.add_argument("--sizes", nargs="+", default=["800x1088"])
    parser.add_argument("--batches", nargs="+", type=int, default=[1])
    parser.add_argument("--dtypes", nargs="+", default=["float32"])
    parser.add_argument("--prompts", nargs="+", default=["caption", "40"])
    parser.add_argument("--max-names", type=int, default=0, help="names of one prompt; 0: fill it")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--warmup", type=int, default=1)
    parser.add_argument("--compile", action="store_true", help="torch.compile the backbone")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    parser.add_argument("--write", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        print(json.dumps(measure(json.loads(options.case))))
        return 0
    if options.write:
        write_model(*options.write)
        return 0
    rows = []
    with TemporaryDirectory() as folder:
        for preset in options.presets:
            _in_a_process("--write", preset, f"{folder}/{preset}")
        for preset, size, batch, dtype, prompt in product(
            options.presets, options.sizes, options.batches, options.dtypes, options.prompts
        ):
            case = {
                "preset": preset, "directory": f"{folder}/{preset}", "size": size, "batch": batch,
                "dtype": dtype, "prompt": prompt, "max_names": options.max_names,
                "device": options.device, "threads": options.threads,
                "repeats": options.repeats, "warmup": options.warmup, "compile": options.compile,
            }  # fmt: skip
            rows.append(json.loads(_in_a_process("--case", json.dumps(case)).splitlines()[-1]))
            lines = table(rows[-1:]).splitlines()
            print("\n".join(lines if len(rows) == 1 else lines[-1:]), flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
