"""Does training wait for its examples? Reading, prompts, augmentation and batches against decoding
and resizing alone, and the share of time that a step of a given length waits.

    python -m tests.benchmarks.bench_loader --preset glip-t --images 192 --batch 8

The pictures are JPEG of 640x480, 80 names, eight boxes each, as detection and as grounding gold in
equal parts; the recipe is the preset's. "bare" decodes and resizes the same pictures and does
nothing else, in this process. A step is a sleep, as a GPU takes no core: `--step-ms` is the time of
a whole batch; 0 takes 1.25 of what the processes need for one.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import torch
from PIL import Image

from jobs.training.data import build_mixture, read_image
from jobs.training.load_recipe import load_recipe
from jobs.training.network import network_config
from jobs.training.recipe import SourceSpec
from jobs.training.sources import load_sources
from model.inputs.preprocess import Preprocessor
from model.inputs.tokenizer import default_tokenizer
from model.training.batch import BatchBuilder, TrainBatch
from model.training.stream import iter_steps
from model.training.workers import Workers
from pipeline.world import nouns_of

SIZE = (640, 480)
NUM_NAMES = 80
NUM_BOXES = 8
SLACK = 1.25


def write_gold(folder: Path, count: int) -> tuple[Path, Path]:
    """(COCO file, MDETR file) of pictures with edges and texture, as photographs have."""
    rng = np.random.default_rng(0)
    names = nouns_of("seen")[:NUM_NAMES]
    images, boxed, grounded = [], [], []
    for number in range(count):
        coarse = rng.integers(0, 255, (12, 16, 3), np.uint8)
        picture = np.asarray(Image.fromarray(coarse).resize(SIZE, Image.Resampling.BICUBIC))
        texture = rng.normal(0, 12, picture.shape)
        pixels = np.clip(picture + texture, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.jpg", quality=90)
        chosen = rng.choice(NUM_NAMES, NUM_BOXES, replace=False).tolist()
        caption = ", ".join(f"a {names[n]}" for n in chosen)
        size = {"id": number, "file_name": f"{number}.jpg", "width": SIZE[0], "height": SIZE[1]}
        images.append(size | {"caption": caption})
        for n in chosen:
            x, y = int(rng.integers(0, 500)), int(rng.integers(0, 360))
            box = {"image_id": number, "bbox": [x, y, 120, 100], "area": 12_000, "iscrowd": 0}
            start = caption.index(f"a {names[n]}")
            span = [[start, start + 2 + len(names[n])]]
            boxed.append(box | {"id": len(boxed), "category_id": n + 1})
            grounded.append(box | {"id": len(grounded), "category_id": 1, "tokens_positive": span})
    categories = [{"id": n + 1, "name": name} for n, name in enumerate(names)]
    files = folder / "coco.json", folder / "mdetr.json"
    plain = [{k: v for k, v in image.items() if k != "caption"} for image in images]
    for path, content in zip(
        files, ((plain, boxed, categories), (images, grounded, [])), strict=True
    ):
        path.write_text(
            json.dumps(dict(zip(("images", "annotations", "categories"), content, strict=True)))
        )
    return files


def make_loader(
    preset: str, gold: Sequence[Path], folder: Path
) -> tuple[Callable[[Sequence[int]], TrainBatch], Preprocessor]:
    """Positions to a batch, as `glipforge pretrain` makes it, and the network's sizes."""
    recipe = load_recipe(None, preset, ())
    recipe = replace(recipe, sources=tuple(SourceSpec(gold=str(path)) for path in gold))
    config = network_config(recipe)
    tokenizer = default_tokenizer()
    preprocessor = Preprocessor(
        min_size=config.min_size, max_size=config.max_size, divisor=config.size_divisor
    )
    builder = BatchBuilder(tokenizer, preprocessor, config.max_tokens)
    sources, _ = load_sources(recipe.sources)
    mixture = build_mixture(recipe, sources, tokenizer, folder / "cache", lambda _: None)
    return lambda positions: builder([mixture.example(p) for p in positions]), preprocessor


def cpu_seconds() -> float:
    """Of this process and those it started."""
    total = 0.0
    for process in (psutil.Process(), *psutil.Process().children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            total += sum(process.cpu_times()[:2])
    return total


def measure_bare(paths: Sequence[Path], preprocessor: Preprocessor) -> dict[str, float]:
    """Decode and resize, nothing else."""
    began, cpu = time.perf_counter(), cpu_seconds()
    for path in paths:
        preprocessor.batch([preprocessor.resize(read_image(str(path)))])
    wall = time.perf_counter() - began
    return {
        "images_per_s": len(paths) / wall,
        "cpu_ms": 1000 * (cpu_seconds() - cpu) / len(paths),
    }


def measure(
    make_batch: Callable[[Sequence[int]], TrainBatch],
    *,
    steps: int,
    batch: int,
    processes: int,
    step_s: float,
) -> dict[str, float]:
    """Rate, CPU time, and the share of time that a step waits. The first batch is not counted."""
    batches = iter_steps(
        make_batch,
        range(steps),
        batch_size=batch,
        accumulate=1,
        workers=Workers(),
        num_processes=processes,
    )
    next(batches)
    time.sleep(step_s)
    began, cpu, waited = time.perf_counter(), cpu_seconds(), 0.0
    for _ in range(steps - 1):
        asked = time.perf_counter()
        next(batches)
        waited += time.perf_counter() - asked
        time.sleep(step_s)
    wall = time.perf_counter() - began
    count = batch * (steps - 1)
    return {
        "images_per_s": count / wall,
        "cpu_ms": 1000 * (cpu_seconds() - cpu) / count,
        "waiting": waited / wall,
    }


def main() -> None:
    """Print a line for each number of processes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="glip-t")
    parser.add_argument("--images", type=int, default=192)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--processes", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--step-ms", type=float, default=0.0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    steps = options.images // options.batch + 1
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        gold = write_gold(folder, options.images)
        make_batch, preprocessor = make_loader(options.preset, gold, folder)
        make_batch(range(options.batch))
        bare = measure_bare(sorted(folder.glob("*.jpg")), preprocessor)
        print(
            f"bare decoding     {bare['images_per_s']:7.1f} images/s  {bare['cpu_ms']:6.1f} CPU ms"
        )
        for processes in options.processes:
            free = measure(
                make_batch, steps=steps, batch=options.batch, processes=processes, step_s=0.0
            )
            step_s = options.step_ms / 1000 or SLACK * options.batch / free["images_per_s"]
            paced = measure(
                make_batch, steps=steps, batch=options.batch, processes=processes, step_s=step_s
            )
            print(
                f"{processes} processes       {free['images_per_s']:7.1f} images/s  "
                f"{free['cpu_ms']:6.1f} CPU ms, {free['cpu_ms'] / bare['cpu_ms']:.2f} of bare; "
                f"steps of {1000 * step_s:.0f} ms wait {paced['waiting']:.1%} of the time"
            )


if __name__ == "__main__":
    main()
