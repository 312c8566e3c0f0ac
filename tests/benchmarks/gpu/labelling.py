"""The whole labelling against the bare teacher, and the training loop with its loader."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Generator, Mapping
from dataclasses import replace
from pathlib import Path

from jobs.labelling.worker import LabelWorker
from jobs.training.load_recipe import load_recipe
from jobs.training.recipe import SourceSpec
from jobs.training.run import Machine, train_worker
from model.teacher.options import TeacherOptions
from tests.benchmarks.bench_label import (
    ask_all,
    label_all,
    requests_of,
    write_setup,
    write_spec,
)
from tests.benchmarks.bench_loader import write_gold
from tests.benchmarks.gpu.case import LONG_NAMES, Case, Row, start_peak


def measure_labelling(case: Case) -> Generator[Row]:
    """Tars to committed Parquet, against the same calls of the bare teacher; the second round."""
    dtype = case.dtypes[1] if len(case.dtypes) > 1 else case.dtypes[0]
    options = argparse.Namespace(
        images=case.label_images,
        unit=max(1, case.label_images // 4),
        teacher=None,
        preset=case.preset,
        detector=None,
        min_size=min(case.height, case.width),
        call_size=32,
        device=str(case.device),
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        setup = write_setup(options, folder)
        asking = TeacherOptions(
            precision=LONG_NAMES[dtype],  # type: ignore[arg-type]
            batch_size=max(case.batches),
            min_size=options.min_size,
            max_size=max(case.height, case.width),
        )
        spec = write_spec(replace(setup, options=asking), options, folder / "plan")
        worker = LabelWorker(spec)
        units = list(worker.store.plan().units)
        calls = requests_of(spec.corpus, units, worker.tools, options.call_size)
        rounds = []
        for number in range(2):
            began = time.perf_counter()
            ask_all(calls, worker.tools)
            bare_s = time.perf_counter() - began
            began = time.perf_counter()
            label_all(worker, folder / f"{number}")
            rounds.append((bare_s, time.perf_counter() - began))
    bare_s, job_s = rounds[-1]
    yield Row(
        part="label", what=f"{case.preset}, drawn scenes", dtype=dtype, batch=max(case.batches),
        figures={
            "images/s": case.label_images / job_s,
            "bare images/s": case.label_images / bare_s,
            "of the bare teacher": bare_s / job_s,
        },
    )  # fmt: skip


def measure_training(case: Case) -> Generator[Row]:
    """The training loop over JPEG pictures: the last line of its log, after a warm-up."""
    for dtype in case.dtypes:
        if case.device.type == "cpu" and dtype == "fp16":
            continue  # the loop refuses it there
        lines: list[Mapping[str, float]] = []
        start_peak(case.device)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            gold = write_gold(folder, 4 * case.train_batch)
            short, long = sorted((case.height, case.width))
            recipe = load_recipe(
                None,
                case.preset,
                (
                    f"train.steps={2 * case.train_steps}",
                    f"train.batch_size={case.train_batch}",
                    f"train.precision={dtype}",
                    f"train.log_every={case.train_steps}",
                    f"network.min_size={short}",
                    f"network.max_size={long}",
                    f"mixture.augment.short_sides=[{short}]",
                    "cache_side=0",
                ),
                sources=tuple(SourceSpec(gold=str(path)) for path in gold),
            )
            train_worker(
                recipe,
                folder / "run",
                Machine(device=str(case.device), trackers=()),
                say=lambda _: None,
                on_log=lambda _, figures, lines=lines: lines.append(dict(figures)),
            )
        last = lines[-1]
        yield Row(
            part="train", what=f"{case.preset}, {short} pixels", dtype=dtype,
            batch=case.train_batch,
            figures={
                "images/s": last["images_per_s"],
                "waits for the loader": last["loader_share"],
                "peak GiB": last["memory_gib"],
                "loss": last["loss"],
            },
        )  # fmt: skip
