"""Puts a recipe together into a run: data, network, loop, and the model that comes out."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.termination import sigterm_as_interrupt
from jobs.training.data import build_mixture, describe_sources
from jobs.training.evaluation import make_evaluation
from jobs.training.network import (
    MODEL_DIRECTORY,
    count_parameters,
    export_model,
    network_config,
    start_weights,
)
from jobs.training.recipe import Recipe, read_recipe, recipe_identity, recipe_json
from jobs.training.sources import load_sources, sources_fingerprint
from jobs.training.status import describe_drops
from schemas.errors import ConfigError, os_sentence
from schemas.fingerprint import require_same

if TYPE_CHECKING:
    from model.training.loop import TrainResult

RECIPE_NAME = "recipe.json"
LOADERS_PER_GPU = 4
"""Enough for 500 images of 800x1088 a second, see tests/benchmarks/bench_loader.py."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Where a worker trains; none of it changes the weights beyond rounding."""

    device: str = "auto"
    threads: int = 0
    loader_processes: int | None = None
    cache_root: Path | None = None
    trackers: tuple[str, ...] = ("tensorboard",)


def train_here(recipe: Recipe, out: Path, machine: Machine) -> None:
    """Train in this process; SIGTERM ends it as Ctrl-C does, so the state file says `stopped`."""
    with sigterm_as_interrupt(), training_directory(out, recipe):
        result = train_worker(recipe, out, machine, say=print)
    losses = ", ".join(f"{name} {value:.4f}" for name, value in result.losses.items())
    print(f"done: step {result.steps}, {losses}")
    for name, value in result.evaluation.items():
        print(f"  {name}: {value:.4f}")
    if result.drops:
        print(f"left out: {describe_drops(result.drops)}")
    print(f"model: {out / MODEL_DIRECTORY}")


def train_worker(
    recipe: Recipe,
    out: Path,
    machine: Machine,
    *,
    say: Callable[[str], None],
    on_log: Callable[[int, Mapping[str, float]], None] | None = None,
    on_checkpoint: Callable[[int, Path], None] | None = None,
) -> TrainResult:
    """Train as this process's part of the run, and write the model in the first one.

    Args:
        recipe: What to train.
        out: The run's directory, the same for all workers.
        machine: Where.
        say: Gets a sentence now and then, in the first worker.
        on_log: Called with every line of the log, in the first worker.
        on_checkpoint: Called after every checkpoint, in all workers.
    """
    import torch

    from jobs.training.trackers import make_trackers
    from model.inputs.preprocess import Preprocessor
    from model.inputs.tokenizer import default_tokenizer
    from model.losses.glip_loss import GlipLoss
    from model.network.glip import Glip
    from model.network.grid import AnchorGrid
    from model.teacher.load import torch_device
    from model.training.batch import BatchBuilder
    from model.training.loop import Trainer
    from model.training.memory import keep_freed_memory
    from model.training.workers import Workers

    if machine.threads:
        torch.set_num_threads(machine.threads)
    workers = Workers.current()
    tell = say if workers.is_first else _silent
    device = torch_device(machine.device)
    if device.type == "cpu":
        keep_freed_memory()
    config = network_config(recipe)
    torch.manual_seed(recipe.train.seed)
    model = Glip(config)
    start = start_weights(model, recipe)
    model.to(device)
    tell(f"{config.preset}: {count_parameters(model) / 1e6:.2f} M parameters on {device}, {start}")

    tokenizer = default_tokenizer()
    preprocessor = Preprocessor(
        min_size=config.min_size, max_size=config.max_size, divisor=config.size_divisor
    )
    builder = BatchBuilder(tokenizer, preprocessor, config.max_tokens)
    sources, counts = load_sources(recipe.sources)
    for source in sources:
        tell(f"source {source.name}: {len(source.samples)} samples as {source.kind}")
    evaluate = (
        make_evaluation(recipe, config, tokenizer, preprocessor, out, say)
        if workers.is_first
        else None
    )
    cache_root = machine.cache_root or out / "cache"
    if not workers.is_first:
        workers.barrier()  # the first worker fills the image cache, the others find it
    mixture = build_mixture(recipe, sources, tokenizer, cache_root, tell)
    if workers.is_first:
        workers.barrier()
    fingerprints = sources_fingerprint(sources)
    plain = recipe_json(recipe)
    trainer = Trainer(
        model=model,
        loss=GlipLoss(),
        grid=AnchorGrid(config, device),
        make_batch=lambda positions: builder([mixture.example(p) for p in positions]),
        options=recipe.train,
        directory=out,
        fingerprint={**recipe_identity(plain), "data": fingerprints},
        device=device,
        workers=workers,
        num_loader_processes=num_loaders(machine, device.type),
        evaluate=evaluate,
        trackers=make_trackers(machine.trackers, out, plain) if workers.is_first else (),
        say=tell,
        on_log=on_log or (lambda step, figures: tell(progress_line(recipe, step, figures))),
        on_checkpoint=on_checkpoint,
    )
    result = trainer.run()
    if workers.is_first:
        described = describe_sources(mixture, fingerprints, counts)
        export_model(trainer, model, recipe, out, result, described)
    workers.barrier()
    return result


def num_loaders(machine: Machine, device_type: str) -> int:
    """Processes that make batches for one worker."""
    if machine.loader_processes is not None:
        return machine.loader_processes
    if device_type == "cpu":  # its arithmetic wants every core
        return 0
    return min(LOADERS_PER_GPU, (os.cpu_count() or 1) - 1)


def progress_line(recipe: Recipe, step: int, figures: Mapping[str, float]) -> str:
    """One line of figures for the terminal, with what is left."""
    left = (recipe.train.steps - step) * recipe.train.batch_size
    seconds = left / max(figures["images_per_s"], 1e-9)
    parts = " ".join(f"{name} {figures[name]:.3f}" for name in ("token", "box", "centerness"))
    return (
        f"step {step}/{recipe.train.steps}  loss {figures['loss']:.3f} ({parts})  "
        f"{figures['images_per_s']:.1f} images/s  loader {figures['loader_share']:.1%}  "
        f"{figures['memory_gib']:.1f} GiB  left {_clock(seconds)}"
        + (f"  unreadable images {figures['unreadable']:.0f}" if "unreadable" in figures else "")
    )


def _clock(seconds: float) -> str:
    minutes = int(seconds // 60)
    return f"{minutes // 60}:{minutes % 60:02d} h" if minutes >= 60 else f"{minutes} min"


def _silent(sentence: str) -> None:
    pass


@contextlib.contextmanager
def training_directory(out: Path, recipe: Recipe) -> Iterator[None]:
    """Hold the run's directory, with the recipe in it, while in the block.

    Raises:
        FingerprintMismatch: the directory holds a run of another recipe.
        ConfigError: it is a labelling run's, another training's, or cannot be written.
    """
    from pipeline.run.info import RUN_INFO
    from pipeline.run.lock import training_lock
    from pipeline.run.store import PLAN

    if any((out / name).exists() for name in (PLAN, RUN_INFO)):
        raise ConfigError(f"--out {out} is the directory of a labelling run; give another --out")
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(training_lock(out))
        except OSError as error:
            raise ConfigError(f"--out {out} cannot be written: {os_sentence(error)}") from error
        is_new = not (out / RECIPE_NAME).exists()
        write_recipe(out, recipe)
        try:
            yield
        except BaseException:
            # What ends before it begins leaves nothing behind that would refuse the right command.
            if is_new and not _has_begun(out):
                (out / RECIPE_NAME).unlink(missing_ok=True)
            raise


def _has_begun(out: Path) -> bool:
    """True where there is something of a training that its recipe explains."""
    from model.training.checkpoint import CHECKPOINT_DIRECTORY, list_checkpoints
    from model.training.journal import LOG_NAME

    return bool(list_checkpoints(out / CHECKPOINT_DIRECTORY)) or (out / LOG_NAME).exists()


def write_recipe(out: Path, recipe: Recipe) -> None:
    """Write the run's recipe, or compare it with the one that is there.

    Raises:
        FingerprintMismatch: the directory holds a run of another recipe.
        ConfigError: the directory cannot be written.
    """
    from schemas.atomic import write_whole

    path = out / RECIPE_NAME
    plain = recipe_json(recipe)
    if path.exists():
        try:
            before = read_recipe(path)
        except ConfigError as error:
            raise ConfigError(
                f"{error}; put back the recipe that the run began with, or give another --out"
            ) from error
        require_same(
            recipe_identity(before),
            recipe_identity(plain),
            where=str(path),
            remedy="Give another --out, or the recipe of this run to continue it.",
        )
    try:
        write_whole(path, (json.dumps(plain, indent=1) + "\n").encode())
    except OSError as error:
        raise ConfigError(f"--out {out} cannot be written: {os_sentence(error)}") from error
