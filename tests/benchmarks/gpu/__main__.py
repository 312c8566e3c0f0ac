"""All that is to be known about a device, in one table: `python -m tests.benchmarks.gpu`.

    python -m tests.benchmarks.gpu --json OUT.json               # CUDA: GLIP-T, 800x1333
    python -m tests.benchmarks.gpu --device cpu                  # the same program, small

Parity with recorded outputs of the reference in every dtype; images a second of the network by
batch and dtype, each part apart, beside transformers' Grounding DINO tiny of the same pixels and
words in the same run; what can be computed in two ways, in both; memory; the labelling against the
bare teacher; training with its loader; batches halved when memory runs out. A part that fails is a
line with its reason, and the exit code is 1; lines whose turn comes after --budget seconds are left
out, and it says so.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from tests.benchmarks.gpu.case import Case, Row
from tests.benchmarks.gpu.labelling import measure_labelling, measure_training
from tests.benchmarks.gpu.memory import measure_halving
from tests.benchmarks.gpu.parity import measure_parity
from tests.benchmarks.gpu.speed import measure_speed
from tests.benchmarks.gpu.ways import measure_ways

GOLDEN = Path(__file__).parents[2] / "golden" / "model" / "glip_t.ground_coffee.npz"
PARTS: Mapping[str, Callable[[Case], Generator[Row]]] = {
    "parity": measure_parity,
    "speed": measure_speed,
    "ways": measure_ways,
    "memory": measure_halving,
    "label": measure_labelling,
    "train": measure_training,
}


def main(arguments: list[str] | None = None) -> int:
    """0 if every part came to its end."""
    options = parse(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    case = make_case(options)
    if case.device.type == "cuda" and case.device.index is not None:
        torch.cuda.set_device(case.device)  # some of torch's functions ask for the current one
    rows = list(measure(case, options.parts))
    if options.json:
        found: dict[str, Any] = {"machine": machine(case.device), "rows": [r.plain() for r in rows]}
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    return int(any(row.failure for row in rows))


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The command's options."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--parts", nargs="+", choices=tuple(PARTS), default=list(PARTS))
    parser.add_argument("--preset", default="glip-t")
    parser.add_argument("--size", help="HEIGHTxWIDTH; 800x1333 on a GPU, 192x288 on a CPU")
    parser.add_argument("--batches", nargs="+", type=int)
    parser.add_argument("--dtypes", nargs="+", choices=("fp32", "bf16", "fp16"))
    parser.add_argument("--fixtures", nargs="*", type=Path, default=[GOLDEN])
    parser.add_argument("--dino", choices=("tiny", "toy"), default="tiny")
    parser.add_argument("--budget", type=float, default=540.0, help="seconds")
    parser.add_argument("--threads", type=int, default=0, help="of a CPU; 0: torch's choice")
    parser.add_argument("--json", type=Path)
    return parser.parse_args(arguments)


def make_case(options: argparse.Namespace) -> Case:
    """A GPU's measurements, or the small ones of a CPU."""
    device = torch.device(options.device)
    on_gpu = device.type == "cuda"
    height, width = map(int, (options.size or ("800x1333" if on_gpu else "192x288")).split("x"))
    dtypes = ("fp32", "bf16", "fp16") if on_gpu else ("fp32", "bf16")
    return Case(
        device=device,
        preset=options.preset,
        height=height,
        width=width,
        batches=tuple(options.batches or ((1, 4, 8, 16) if on_gpu else (1,))),
        dtypes=tuple(options.dtypes or dtypes),
        fixtures=tuple(options.fixtures),
        min_seconds=2.0 if on_gpu else 0.0,
        label_images=512 if on_gpu else 4,
        train_batch=8 if on_gpu else 2,
        train_steps=15 if on_gpu else 1,
        dino=options.dino,
        budget_s=options.budget,
    )


def measure(case: Case, parts: list[str]) -> Iterator[Row]:
    """Every line, printed as it comes."""
    print(json.dumps(machine(case.device)), flush=True)
    began = time.perf_counter()
    for name in parts:
        try:
            rows = PARTS[name](case)
            # Asked before each line: nothing is computed before its line is wanted.
            while time.perf_counter() - began <= case.budget_s:
                row = next(rows, None)
                if row is None:
                    break
                yield _printed(row)
            else:
                rows.close()
                yield _printed(Row(part=name, what="", failure="left out: no time was left"))
        except Exception as error:  # the other parts are worth their time
            said = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
            yield _printed(Row(part=name, what="", failure=said))


def _printed(row: Row) -> Row:
    print(row, flush=True)
    return row


def machine(device: torch.device) -> dict[str, str]:
    """What the figures are of."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    return {
        "device": str(device),
        "name": name,
        "torch": torch.__version__,
        "threads": str(torch.get_num_threads()),
    }


if __name__ == "__main__":
    sys.exit(main())
