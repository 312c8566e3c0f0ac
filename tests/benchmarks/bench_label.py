"""The whole labelling against the bare model, in one run: what do reading, decoding, phrases, rows
and commits cost beside the teacher?

    python -m tests.benchmarks.bench_label --images 1024 --rounds 3

The bare model answers the same calls, in the same order, of images that are decoded and captions
that are cut already. The job is `LabelWorker` with two units at once, as both runners use it, from
tars to committed Parquet. Rounds alternate, so that other load on the machine falls on both.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from jobs.label import make_plan
from jobs.label_setup import TeacherSetup, Tools
from jobs.label_worker import DEPTH, LabelWorker, WorkerSpec
from model.teacher_options import TeacherOptions
from pipeline.annotate import AnnotateOptions, plan_calls
from pipeline.corpus import Corpus, CorpusOptions
from pipeline.images import ImageLimits, decode_image
from pipeline.pairs import Pair, PairLimits, Seconds, extract_window, read_windows
from pipeline.phrases import PhraseOptions
from pipeline.run_store import RunStore
from pipeline.world import CorpusShape, nouns_of, write_corpus
from schemas.grounder import GroundingRequest

UNIT = 128


def requests_of(corpus: Corpus, tools: Tools, call_size: int) -> list[list[GroundingRequest]]:
    """The calls of the job, ready for the teacher."""
    options = AnnotateOptions(call_size=call_size, size_key=tools.size_key)
    calls: list[list[GroundingRequest]] = []
    with ThreadPoolExecutor(4) as pool:
        for unit in corpus.units(UNIT):
            for window in read_windows(corpus.read(unit), PairLimits(), pool, Seconds()):
                extract_window(window, tools.parser, Seconds())
                usable = [pair for pair in window if pair.failure is None]
                calls += [[request(pair) for pair in call] for call in plan_calls(usable, options)]
    return calls


def request(pair: Pair) -> GroundingRequest:
    """Decoded, with its phrases."""
    image = decode_image(pair.data or b"", ImageLimits()).array
    return GroundingRequest(image=image, caption=pair.caption, phrases=pair.phrases)


def time_bare(calls: list[list[GroundingRequest]], tools: Tools) -> float:
    """Seconds for all answers."""
    began = time.perf_counter()
    for call in calls:
        tools.grounder.ground(call)
    return time.perf_counter() - began


def time_job(worker: LabelWorker, corpus: Corpus, out: Path, setup: TeacherSetup) -> float:
    """Seconds for all commits, in a new run."""
    store = RunStore(out)
    store.write_plan(make_plan(setup, corpus, UNIT))
    worker.store = store
    began = time.perf_counter()
    with ThreadPoolExecutor(DEPTH) as pool:
        outcomes = list(pool.map(worker.label, store.pending()))
    spent = time.perf_counter() - began
    assert all(outcome.won for outcome in outcomes)
    assert store.finalize()
    return spent


def main() -> int:
    """Print images/s of both and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1, help="of the model's arithmetic")
    parser.add_argument("--teacher", help="a model directory; the shipped glip-nano if not given")
    parser.add_argument("--min-size", type=int, default=0)
    parser.add_argument("--call-size", type=int, default=32)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        nouns = nouns_of("seen") + nouns_of("web")
        shape = CorpusShape(name="bench", scenes=options.images, nouns=nouns)
        write_corpus(shape, Path(folder) / "bench")
        setup = TeacherSetup(
            corpus=str(Path(folder) / "bench"),
            corpus_options=CorpusOptions(),
            teacher=options.teacher,
            device=options.device,
            options=TeacherOptions(min_size=options.min_size),
            phrase_options=PhraseOptions(),
            limits=PairLimits(),
        )
        corpus = setup.open_corpus()
        assert isinstance(corpus, Corpus)
        plan = make_plan(setup, corpus, UNIT)
        spec = WorkerSpec(
            run=str(Path(folder) / "none"),
            setup=setup,
            corpus=corpus,
            plan_id=plan.fingerprint(),
            config={name: plan.config[name] for name in ("teacher", "phrases")},
            call_size=options.call_size,
            decode_threads=4,
        )
        worker = LabelWorker(spec)
        calls = requests_of(corpus, worker.tools, options.call_size)
        time_bare(calls[:2], worker.tools)
        bare, job = [], []
        for number in range(options.rounds):
            bare.append(options.images / time_bare(calls, worker.tools))
            job.append(options.images / time_job(worker, corpus, Path(folder) / f"{number}", setup))
    ratios = [j / b for j, b in zip(job, bare, strict=True)]
    found = {
        "teacher": worker.tools.grounder.teacher_id,
        "images": options.images,
        "threads": options.threads,
        "bare_images_per_s": [round(value, 2) for value in bare],
        "job_images_per_s": [round(value, 2) for value in job],
        "ratio_median": round(statistics.median(ratios), 3),
        "ratios": [round(value, 3) for value in ratios],
    }
    print(json.dumps(found, indent=1))
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
