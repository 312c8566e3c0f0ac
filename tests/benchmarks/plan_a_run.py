"""What labelling so many pairs takes: the table of `jobs/examples/PLANNING.md`.

    python -m tests.benchmarks.plan_a_run --pairs 24e6 100e6 1e9 --images-per-s 20 100

Everything follows from the figures below, which other benchmarks measured, and from what is given
on the command line: the images per second of one GPU are not known here and have to be.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass

BYTES_A_ROW = 778
"""Of 12,000 rows with 18 candidate boxes each, labelled by glip-nano: `demo experiment`."""
BYTES_A_MARKER = 797
BYTES_A_PLANNED_UNIT = 290
FILES_A_UNIT = 3
"""Annotations, what could not be labelled, the marker."""
PLAN_S, RESUME_S = 3.5e-5, 7.1e-5
"""Seconds a unit, on a local disk: `bench_planning --shards 100000`."""
DRIVER_BYTES_A_UNIT = 4200
"""Of plan and markers in memory, beside 500 MB: there too."""
RESUME_S3_S = 1.33e-3 + 0.29e-3
"""CPU seconds a unit of our client, to read its marker and find its files: `bench_object_store`."""
DECODE_S, PHRASES_S = 0.0152, 1 / 762
"""CPU seconds a pair: decode and resize to 800 x 1333, noun phrases."""
UNITS_AT_WORK = 2
"""Of one worker: what its death costs at most."""


@dataclass(frozen=True, kw_only=True)
class RunPlan:
    """One run: pairs, records of a unit, GPUs, images per second of one GPU."""

    pairs: float
    unit: int
    gpus: int
    rate: float

    @property
    def units(self) -> int:
        """How many commits."""
        return math.ceil(self.pairs / self.unit)

    @property
    def gpu_hours(self) -> float:
        """Of the teacher alone."""
        return self.pairs / self.rate / 3600

    def rows(self) -> list[tuple[str, str]]:
        """Names and values, in reading order."""
        lost = UNITS_AT_WORK * self.unit / self.rate
        resume_s3 = self.units * (PLAN_S + RESUME_S3_S)
        cores = self.rate * (DECODE_S + PHRASES_S)
        return [
            ("GPU hours", f"{self.gpu_hours:,.0f}"),
            (f"days on {self.gpus} GPUs", f"{self.gpu_hours / self.gpus / 24:,.1f}"),
            ("cores beside each GPU, decode and phrases", f"{cores:.1f}"),
            (f"units of {self.unit:,}", f"{self.units:,}"),
            ("seconds of one unit", f"{self.unit / self.rate:,.0f}"),
            ("commits per second, all GPUs", f"{self.rate * self.gpus / self.unit:.2f}"),
            ("Parquet", _bytes(self.pairs * BYTES_A_ROW)),
            ("files, with markers, at most", f"{FILES_A_UNIT * self.units:,}"),
            ("markers", _bytes(self.units * BYTES_A_MARKER)),
            ("_plan.json", _bytes(self.units * BYTES_A_PLANNED_UNIT)),
            ("memory of the driver", _bytes(5e8 + self.units * DRIVER_BYTES_A_UNIT)),
            ("planning", f"{self.units * PLAN_S:,.0f} s"),
            ("start of a resume, on a disk", f"{self.units * (PLAN_S + RESUME_S):,.0f} s"),
            ("the same on S3", f"{resume_s3:,.0f} s"),
            ("a worker's death, at most", f"{lost:,.0f} GPU seconds"),
            (
                "the driver's death, at most, with idle GPUs at the resume",
                f"{(lost + resume_s3) * self.gpus / 3600:,.1f} GPU hours",
            ),
        ]


def _bytes(number: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:,.0f} {unit}"
        number /= 1000
    return f"{number:,.1f} TB"


def table(plans: list[RunPlan]) -> str:
    """Markdown."""
    heads = [f"{plan.pairs / 1e6:,.0f} M at {plan.rate:g}/s" for plan in plans]
    lines = ["| | " + " | ".join(heads) + " |", "|---|" + "---|" * len(plans)]
    for cells in zip(*(plan.rows() for plan in plans), strict=True):
        lines.append(f"| {cells[0][0]} | " + " | ".join(value for _, value in cells) + " |")
    return "\n".join(lines)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=float, nargs="+", default=[24e6, 100e6, 1e9])
    parser.add_argument("--images-per-s", type=float, nargs="+", default=[20, 100])
    parser.add_argument("--gpus", type=int, default=64)
    parser.add_argument("--records-per-unit", type=int, default=4096)
    options = parser.parse_args()
    plans = [
        RunPlan(pairs=pairs, unit=options.records_per_unit, gpus=options.gpus, rate=rate)
        for rate in options.images_per_s
        for pairs in options.pairs
    ]
    print(table(plans))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
