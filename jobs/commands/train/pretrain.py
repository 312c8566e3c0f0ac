"""Train a network on gold data and curated runs: the preset's recipe, changed where you say so.

A run lives in one directory; the same command continues it. Recipes are JSON files; see
`RUN/recipe.json` of any run, which can be given back with --recipe.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from jobs.arguments import DirPath, MaybeDir, MaybeFile, Model, Repeated

if TYPE_CHECKING:
    from pathlib import Path

    from jobs.training.recipe import Recipe, SourceSpec
    from jobs.training.run import Machine

EXAMPLES = (
    "glipforge pretrain --preset glip-t --warm-start glip-t "
    "--curated runs/1 --gold train.json --out student",
)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options of `glipforge pretrain`."""

    out: DirPath
    """The run's directory; a run that is there already is continued."""
    recipe: MaybeFile = None
    """A recipe file (JSON); what it leaves out is the preset's."""
    preset: str | None = None
    """The network, as `glipforge models` lists it; default: the recipe's."""
    gold: Repeated = ()
    """Gold data (coco, lvis, mdetr, odvg, flickr30k, imagefolder), added to the recipe's; may be
    given several times."""
    curated: Repeated = ()
    """A run directory that was filtered, as RUN or RUN:POLICY, added to the recipe's; may be given
    several times."""
    tune: Literal["full", "linear-probe", "prompt"] | None = None
    """Adapt the network of --warm-start to a small set, with the reference's numbers: all of it,
    its last layers, or a vector for each text position."""
    shots: int = 0
    """Use only so many images of each name of the --gold given here (few-shot); 0: all."""
    steps: int | None = None
    """Optimiser steps of the whole run."""
    epochs: float | None = None
    """Instead of --steps: how often every sample is seen, on the average; default with --tune: 24.
    The sources are read once more to be counted."""
    batch_size: int | None = None
    """Images of one step, over all workers."""
    rate: float | None = None
    """Learning rate."""
    seed: int | None = None
    """Decides everything that is drawn."""
    warm_start: Model = None
    """A model directory whose weights are the start."""
    set: Repeated = ()
    """Any field of the recipe, as NAME=JSON: train.ema_decay=0.99; may be given several times."""
    device: str = "auto"
    """cpu, cuda, cuda:1; auto takes a GPU where there is one."""
    workers: int = 1
    """Processes that train together, on Ray Train; 1: this process, without Ray."""
    loader_processes: int | None = None
    """Processes of each worker that make batches ahead; 0: none. Default: four beside a GPU, as far
    as there are cores, and none on a CPU."""
    threads: int = 0
    """Threads of each worker's arithmetic; 0: as torch chooses."""
    cache: MaybeDir = None
    """Where decoded images are kept if the recipe says so; default: OUT/cache."""
    trackers: tuple[Literal["tensorboard", "wandb", "mlflow"], ...] = ("tensorboard",)
    """Who plots the log; TensorBoard always does."""
    dry_run: bool = False
    """Print the resolved recipe and stop."""


OF_RECIPE = {
    "train.steps": "steps",
    "train.batch_size": "batch_size",
    "train.optimizer.rate": "rate",
    "train.seed": "seed",
    "warm_start": "warm_start",
}
"""Fields of a recipe that have an option of their own."""


def run(config: Config) -> int:
    """Train, and write the model beside its log."""
    import json

    from jobs.training.load_recipe import load_recipe
    from jobs.training.recipe import recipe_json
    from jobs.training.run import Machine
    from jobs.training.trackers import require_trackers

    _check(config)
    with _named_as_typed(config):
        recipe = load_recipe(
            config.recipe,
            config.preset,
            config.set,
            tuning=_tuning_defaults(config),
            changes=_changes(config),
            sources=_sources(config),
        )
    epochs = _epochs(config)
    if epochs is not None:
        recipe = _with_epochs(recipe, epochs)
    if config.dry_run:
        print(json.dumps(recipe_json(recipe), indent=1))
        return 0
    require_trackers(config.trackers)
    machine = Machine(
        device=config.device,
        threads=config.threads,
        loader_processes=config.loader_processes,
        cache_root=config.cache,
        trackers=config.trackers,
    )
    train(recipe, config.out, machine, config.workers)
    return 0


def train(recipe: Recipe, out: Path, machine: Machine, workers: int) -> None:
    """Train here, or on Ray with more than one worker."""
    if workers > 1:
        from jobs.training.on_ray import train_on_ray

        train_on_ray(recipe, out, machine, workers)
    else:
        from jobs.training.run import train_here

        train_here(recipe, out, machine)


def _tuning_defaults(config: Config) -> dict[str, Any] | None:
    if config.tune is None:
        return None
    from jobs.training.tuning import tuning_defaults
    from model.files.directory import load_config
    from model.files.source import resolve_source
    from schemas.errors import ConfigError

    if config.warm_start is None:
        raise ConfigError(
            f"--tune {config.tune} starts from a trained network; name its directory with "
            "--warm-start"
        )
    return tuning_defaults(config.tune, load_config(resolve_source(config.warm_start)))


def _epochs(config: Config) -> float | None:
    """Those asked for; with --tune the reference's number, if nothing says how long to train."""
    from jobs.training.tuning import EPOCHS

    if config.epochs is not None or config.tune is None:
        return config.epochs
    is_said = config.steps or config.recipe or any(a.startswith("train.steps=") for a in config.set)
    return None if is_said else EPOCHS


def _with_epochs(recipe: Recipe, epochs: float) -> Recipe:
    import math
    from dataclasses import replace

    from jobs.training.sources import load_sources
    from schemas.errors import ConfigError

    if not (math.isfinite(epochs) and epochs > 0):
        raise ConfigError(f"--epochs must be positive, got {epochs}")
    sources, _ = load_sources(recipe.sources)
    images = epochs * sum(len(source.samples) for source in sources)
    steps = max(1, math.ceil(images / recipe.train.batch_size))
    return replace(recipe, train=replace(recipe.train, steps=steps))


def _changes(config: Config) -> dict[str, object]:
    given = {name: getattr(config, option) for name, option in OF_RECIPE.items()}
    return {name: value for name, value in given.items() if value is not None}


@contextmanager
def _named_as_typed(config: Config) -> Iterator[None]:
    """What a recipe cannot hold is said of the option that put it there."""
    from schemas.errors import ConfigError

    try:
        yield
    except ConfigError as error:
        for name in _changes(config):
            said = f"recipe.{name} "
            if str(error).startswith(said):
                typed = f"--{OF_RECIPE[name].replace('_', '-')} "
                raise ConfigError(typed + str(error).removeprefix(said)) from error
        raise


def _sources(config: Config) -> list[SourceSpec]:
    from jobs.training.recipe import SourceSpec

    found = [SourceSpec(gold=path, shots=config.shots) for path in config.gold]
    for text in config.curated:
        path, colon, policy = text.rpartition(":")
        if colon and "/" not in policy:
            found.append(SourceSpec(curated=path, policy=policy))
        else:
            found.append(SourceSpec(curated=text))
    return found


def _check(config: Config) -> None:
    from schemas.errors import ConfigError

    if config.steps is not None and config.epochs is not None:
        raise ConfigError("give --steps or --epochs, not both")
    if config.shots and not config.gold:
        raise ConfigError("--shots goes with --gold; in a recipe, a source has shots of its own")
    if config.workers < 1:
        raise ConfigError(f"--workers must be >= 1, got {config.workers}")
    if config.threads < 0:
        raise ConfigError(f"--threads must be >= 0, got {config.threads}")
    if config.loader_processes is not None and config.loader_processes < 0:
        raise ConfigError(f"--loader-processes must be >= 0, got {config.loader_processes}")
