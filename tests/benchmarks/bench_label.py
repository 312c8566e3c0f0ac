"""The whole labelling against the bare model, in one run: what do reading, decoding, phrases, rows
and commits cost beside the teacher?

    python -m tests.benchmarks.bench_label --images 1024 --rounds 3
    python -m tests.benchmarks.bench_label --preset glip-t --min-size 320 --images 24 --unit 8
    python -m tests.benchmarks.bench_label --detector grounding-dino --min-size 256 --images 24
    python -m tests.benchmarks.bench_label --detector grounding-dino --wait-ms 40 --images 256

The bare model answers the same calls, in the same order, of images that are decoded and captions
that are cut already. The job is `LabelWorker` with two units at once, as both runners use it, from
tars to committed Parquet. Rounds alternate, so that other load on the machine falls on both. CPU
seconds are those of the process and its children; their ratio does not depend on other load, and
is what the job would reach on one core. `bench_label_ray` measures several workers.

With `--detector` the teacher is one of transformers, and the bare model is its forward alone: of
tensors that are ready, in the same batches. With `--wait-ms` that forward sleeps so long for each
image, as a GPU takes no core: what is left is what the job needs to keep one busy.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import torch

from jobs.commands.label.label import make_plan
from jobs.labelling.setup import LabelSetup, TeacherSetup, Tools
from jobs.labelling.worker import DEPTH, LabelWorker, WorkerSpec
from model.config import get_preset
from model.files.directory import save_pretrained
from model.network.glip import Glip
from model.teacher.options import TeacherOptions
from model.training.memory import share_one_arena
from pipeline.corpus import Corpus, CorpusOptions
from pipeline.images.decode import ImageLimits, decode_image
from pipeline.labelling.annotate_unit import AnnotateOptions, plan_calls
from pipeline.labelling.pairs import Pair, PairLimits, Seconds, extract_window, read_windows
from pipeline.labelling.retries import Retries
from pipeline.phrases.extract import PhraseOptions
from pipeline.run.store import RunStore
from pipeline.world import CorpusShape, nouns_of, write_corpus
from schemas.grounder import GroundingRequest
from schemas.plan import Unit
from tests.benchmarks.bare_forward import (
    FULL_SIZE,
    Calls,
    forward_alone,
    take_no_core,
    write_full_size,
)


def parse_options(doc: str | None) -> argparse.ArgumentParser:
    """The options that both label benchmarks have."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--unit", type=int, default=128, help="records per unit")
    parser.add_argument("--threads", type=int, default=1, help="of the model's arithmetic")
    parser.add_argument("--teacher", help="a model directory; the shipped glip-nano if not given")
    parser.add_argument("--preset", help="a teacher of random weights instead")
    parser.add_argument("--detector", choices=FULL_SIZE, help="one of transformers, of random ones")
    parser.add_argument("--min-size", type=int, default=0)
    parser.add_argument("--call-size", type=int, default=32)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path)
    return parser


def write_setup(options: argparse.Namespace, folder: Path) -> TeacherSetup:
    """A drawn corpus, and a teacher's directory if it has to be made."""
    shape = CorpusShape(
        name="bench", scenes=options.images, nouns=nouns_of("seen") + nouns_of("web")
    )
    write_corpus(shape, folder / "bench")
    teacher = options.teacher
    if options.preset:
        torch.manual_seed(0)
        teacher = str(save_pretrained(Glip(get_preset(options.preset)), folder / "teacher"))
    if options.detector:
        teacher = write_full_size(options.detector, folder / "teacher")
    return TeacherSetup(
        corpora=(str(folder / "bench"),),
        corpus_options=CorpusOptions(),
        teacher=teacher,
        device=options.device,
        options=TeacherOptions(min_size=options.min_size),
        phrase_options=PhraseOptions(),
        limits=PairLimits(),
    )


def write_spec(setup: LabelSetup, options: argparse.Namespace, run: Path) -> WorkerSpec:
    """A planned run and what its workers are told."""
    corpus = setup.open_corpus()
    plan = RunStore(run).write_plan(make_plan(setup, corpus, corpus.units(options.unit)))
    return WorkerSpec(
        run=str(run),
        setup=setup,
        corpus=corpus,
        plan_id=plan.fingerprint(),
        config={name: plan.config[name] for name in ("teacher", "phrases")},
        call_size=options.call_size,
        decode_threads=4,
    )


def requests_of(corpus: Corpus, units: list[Unit], tools: Tools, call_size: int) -> Calls:
    """The calls of the job, ready for the teacher."""
    options = AnnotateOptions(call_size=call_size, size_key=tools.size_key)
    calls: Calls = []
    with ThreadPoolExecutor(4) as pool:
        for unit in units:
            for window in read_windows(corpus.read(unit), PairLimits(), pool, Seconds()):
                extract_window(window, tools.parser, Seconds(), Retries())
                usable = [pair for pair in window if pair.failure is None]
                calls += [[request(pair) for pair in call] for call in plan_calls(usable, options)]
    return calls


def request(pair: Pair) -> GroundingRequest:
    """Decoded, with its phrases."""
    image = decode_image(pair.data or b"", ImageLimits()).array
    return GroundingRequest(image=image, caption=pair.caption, phrases=pair.phrases)


def cpu_seconds() -> float:
    """Of this process and its living children."""
    total = 0.0
    for process in (psutil.Process(), *psutil.Process().children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            total += sum(process.cpu_times()[:2])
    return total


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU seconds."""
    wall, cpu = time.perf_counter(), cpu_seconds()
    work()
    return time.perf_counter() - wall, cpu_seconds() - cpu


def ask_all(calls: Calls, tools: Tools) -> None:
    """The bare model."""
    for call in calls:
        tools.grounder.ground(call)


def label_all(worker: LabelWorker, run: Path) -> None:
    """The job: every commit of a new run."""
    store = RunStore(run)
    store.write_plan(worker.store.plan())
    worker.store = store
    with ThreadPoolExecutor(DEPTH) as pool:
        outcomes = list(pool.map(worker.label, store.pending()))
    assert all(outcome.won for outcome in outcomes)
    assert store.finalize()


def main() -> int:
    """Print images/s and CPU seconds of both, and their ratios."""
    parser = parse_options(__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--wait-ms", type=float, default=0.0)
    options = parser.parse_args()
    if options.device == "cpu":
        share_one_arena()  # as the command does
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        spec = write_spec(write_setup(options, folder), options, folder / "plan")
        worker = LabelWorker(spec)
        units = list(worker.store.plan().units)
        calls = requests_of(spec.corpus, units, worker.tools, options.call_size)
        teacher: Any = worker.tools.grounder
        if options.wait_ms:
            take_no_core(teacher, options.wait_ms)
        ask_all(calls[:1], worker.tools)
        bare = lambda: ask_all(calls, worker.tools)  # noqa: E731
        if options.detector:
            bare = forward_alone(teacher, calls)
        rounds = [
            (
                timed(bare),
                timed(lambda number=number: label_all(worker, folder / f"{number}")),
            )
            for number in range(options.rounds)
        ]
    images = options.images
    found = {
        "teacher": worker.tools.grounder.teacher_id,
        "images": images,
        "threads": options.threads,
        "load": psutil.getloadavg()[0],
        "bare_images_per_s": [round(images / bare[0], 2) for bare, _ in rounds],
        "job_images_per_s": [round(images / job[0], 2) for _, job in rounds],
        "bare_cpu_ms": [round(1000 * bare[1] / images, 3) for bare, _ in rounds],
        "job_cpu_ms": [round(1000 * job[1] / images, 3) for _, job in rounds],
        "wall_ratio": round(statistics.median(bare[0] / job[0] for bare, job in rounds), 3),
        "cpu_ratio": round(statistics.median(bare[1] / job[1] for bare, job in rounds), 3),
    }
    print(json.dumps(found, indent=1))
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
