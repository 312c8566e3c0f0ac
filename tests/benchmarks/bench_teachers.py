"""Every kind of teacher beside transformers' own way of asking it, in one run.

    python -m tests.benchmarks.bench_teachers --images 32 --rounds 3
    python -m tests.benchmarks.bench_teachers --directory OWLV2-DIR    # with real weights

For each kind, on drawn scenes with captions: how far our scores of a phrase are from the library's
raw scores of the same words (span-exactness), how far an answer moves when other images share its
batch (batch-exactness; the library's own way beside it), images a second against the library's
processor + forward + post-processing of one image at a time, a labelling of the same corpus against
the bare forward of the same batches, and memory. Without --directory the networks are random and
small: ratios of overhead, never of quality.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

from jobs.labelling.setup import TeacherSetup
from jobs.labelling.worker import LabelWorker
from model.teacher.load import load_teacher
from model.teacher.options import TeacherOptions
from pipeline.corpus import CorpusOptions
from pipeline.labelling.pairs import PairLimits
from pipeline.phrases.extract import PhraseOptions
from pipeline.world import CorpusShape, nouns_of, write_corpus
from schemas.grounder import GroundingRequest
from schemas.records import PhraseStatus
from tests.benchmarks.bench_label import label_all, requests_of, write_spec
from tests.model.teacher.tiny_detectors import KINDS, write_detector


def phrases_of(request: GroundingRequest) -> list[str]:
    """The texts that are asked for."""
    return [phrase.text for phrase in request.phrases if phrase.status is PhraseStatus.OK]


class LibraryWay:
    """A detector as transformers' documentation asks it."""

    def __init__(self, directory: Path) -> None:
        from transformers import AutoModelForZeroShotObjectDetection, AutoProcessor

        self.processor = AutoProcessor.from_pretrained(directory)
        self.model = AutoModelForZeroShotObjectDetection.from_pretrained(directory).eval()
        self.is_words = "dino" in self.model.config.model_type

    @torch.inference_mode()
    def outputs(self, requests: Sequence[GroundingRequest]) -> Any:
        """Raw outputs of a batch."""
        images = [request.image for request in requests]
        text: Any = [phrases_of(request) for request in requests]
        if self.is_words:
            text = [". ".join(names).lower() + "." for names in text]
        # OWL reads 16 tokens; we mark what is longer, the library has to be told to cut it.
        padding = True if self.is_words else "max_length"
        inputs = self.processor(
            images=images, text=text, return_tensors="pt", padding=padding, truncation=True
        )
        return self.model(**inputs)

    def answer(self, request: GroundingRequest) -> Any:
        """Boxes of one image, after the library's post-processing."""
        output = self.outputs([request])
        sizes = [request.image.shape[:2]]
        return self.processor.post_process_grounded_object_detection(
            output, threshold=0.1, target_sizes=sizes
        )

    def scores(self, output: Any, row: int) -> torch.Tensor:
        """Best score of each token or query."""
        logits = getattr(output, "logits", None)
        if logits is None:
            logits = output.decoder_class_logits
        return logits[row].sigmoid().amax(0)


def batch_shift(ask: Callable[[list[GroundingRequest]], list[np.ndarray]], batch: Any) -> float:
    """The largest change of a best score of the first request, alone and in a batch."""
    together, alone = ask(list(batch))[0], ask([batch[0]])[0]
    count = min(len(alone), len(together))
    return float(np.abs(together[:count] - alone[:count]).max()) if count else 0.0


def seconds(work: Callable[[], object]) -> float:
    """Of the wall."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def measure(kind: str, directory: Path, options: argparse.Namespace, folder: Path) -> dict:
    """All figures of one kind."""
    setup = TeacherSetup(
        corpora=(str(folder / "corpus"),),
        corpus_options=CorpusOptions(),
        teacher=str(directory),
        device="cpu",
        options=TeacherOptions(),
        phrase_options=PhraseOptions(),
        limits=PairLimits(),
    )
    spec = write_spec(setup, options, folder / kind)
    memory = psutil.Process().memory_info().rss
    worker = LabelWorker(spec)
    memory = psutil.Process().memory_info().rss - memory
    units = list(worker.store.plan().units)
    calls = requests_of(spec.corpus, units, worker.tools, options.call_size)
    flat = [request for call in calls for request in call if phrases_of(request)]
    teacher: Any = load_teacher(directory, device="cpu", options=TeacherOptions(score_floor=0.0))
    library = LibraryWay(directory)

    def ours(requests: list[GroundingRequest]) -> list[np.ndarray]:
        return [answer.phrase_best_score for answer in teacher.ground(requests)]

    def theirs(requests: list[GroundingRequest]) -> list[np.ndarray]:
        output = library.outputs(requests)
        return [library.scores(output, row).numpy() for row in range(len(requests))]

    shape = flat[0].image.shape  # others first: they are what the library pads
    mixed = [flat[0], *sorted(flat[1:], key=lambda r: r.image.shape == shape)][:4]
    if library.is_words:
        exact = _word_difference(teacher, library, flat[:8])
    else:
        differences = []
        for request in flat[:8]:
            (want,), (found,) = theirs([request]), ours([request])
            (answer,) = teacher.ground([request])
            asked = [i for i, p in enumerate(request.phrases) if p.status is PhraseStatus.OK]
            seen = [n for n, i in enumerate(asked) if answer.phrase_status[i] is PhraseStatus.OK]
            if seen:
                mine = found[[asked[n] for n in seen]]
                differences.append(np.abs(mine - want[seen]).max())
        exact = float(max(differences))
    forward: list[float] = []
    worker.tools.grounder._run_group = _timed(worker.tools.grounder._run_group, forward)  # type: ignore[attr-defined]
    rounds = []
    for number in range(options.rounds):
        forward.clear()
        job = seconds(lambda number=number: label_all(worker, folder / kind / f"{number}"))
        bare = sum(forward)
        own = seconds(lambda: [teacher.ground(call) for call in calls])
        other = seconds(lambda: [library.answer(request) for request in flat])
        rounds.append((job, bare, own, other))
    return {
        "teacher": teacher.teacher_id,
        "images": len(flat),
        "span_difference": exact,
        "batch_difference": batch_shift(ours, mixed),
        "library_batch_difference": batch_shift(theirs, mixed),
        "images_per_s": round(len(flat) / statistics.median(r[2] for r in rounds), 2),
        "against_library": round(statistics.median(r[3] / r[2] for r in rounds), 3),
        "labelling_against_bare_forward": round(statistics.median(r[1] / r[0] for r in rounds), 3),
        "memory_mib": round(memory / 2**20),
    }


def _timed(work: Callable[..., Any], into: list[float]) -> Callable[..., Any]:
    def run(*args: Any) -> Any:
        began = time.perf_counter()
        found = work(*args)
        into.append(time.perf_counter() - began)
        return found

    return run


@torch.inference_mode()
def _word_difference(teacher: Any, library: LibraryWay, requests: list[GroundingRequest]) -> float:
    worst = 0.0
    for request in requests:
        text = request.caption if request.caption.endswith(".") else f"{request.caption}."
        inputs = library.processor(images=request.image, text=text, return_tensors="pt")
        probability = library.model(**inputs).logits[0].sigmoid()
        offsets = library.processor.tokenizer(text, return_offsets_mapping=True)["offset_mapping"]
        (answer,) = teacher.ground([request])
        for index, phrase in enumerate(request.phrases):
            if phrase.status is PhraseStatus.OK:
                own = [
                    place
                    for place, (a, b) in enumerate(offsets)
                    if b > a and a < phrase.end and b > phrase.start
                ]
                want = float(probability[:, own].amax())
                worst = max(worst, abs(want - float(answer.phrase_best_score[index])))
    return worst


def main() -> int:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--unit", type=int, default=64)
    parser.add_argument("--call-size", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--kinds", nargs="*", default=list(KINDS))
    parser.add_argument("--scale", type=int, default=1, help="how many times the tiny networks")
    parser.add_argument("--directory", type=Path, help="a detector of your own")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    found = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shape = CorpusShape(name="bench", scenes=options.images, nouns=nouns_of("seen"))
        write_corpus(shape, folder / "corpus")
        if options.directory:
            found["directory"] = measure("directory", options.directory, options, folder)
        else:
            for kind in options.kinds:
                directory = write_detector(kind, folder / f"d-{kind}", scale=options.scale)
                found[kind] = measure(kind, directory, options, folder)
                print(kind, json.dumps(found[kind]), flush=True)
    text = json.dumps({"load": psutil.getloadavg()[0], "teachers": found}, indent=1)
    print(text)
    if options.json:
        options.json.write_text(text + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
