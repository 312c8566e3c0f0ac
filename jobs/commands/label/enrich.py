"""Add layers to a labelled run: what other models say about its boxes and images.

Labels are never changed: a layer is a folder of its own, RUN/layers/NAME, and deleting the folder
deletes the layer. The same command goes on after any stop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from jobs.arguments import Model, Repeated, Run
from schemas.errors import ConfigError

EXAMPLES = ("glipforge enrich runs/1 --with duplicates --runner local",)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options of `glipforge enrich`."""

    run: tyro.conf.Positional[Run]
    """The run directory or URL."""
    with_: Annotated[tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(name="with")] = ()
    """clip (scores of boxes with their phrases, of images with their captions), embeddings,
    region-embeddings, duplicates, masks, phrases (named entities and referring expressions, by the
    parser, without images), stability (are the boxes found again in a flipped and a smaller image);
    several with commas, or the option several times. An image
    is decoded once for all of them."""
    model: Repeated = ()
    """A directory or hub id (owner/name) of a model of transformers: a CLIP or SigLIP for clip and
    embeddings, a SAM for masks; may be given once for each."""
    teacher: Model = None
    """For stability: the teacher that labelled the run; the shipped glip-nano if not given."""
    prompt: str = "{}"
    """What a phrase is put into before CLIP reads it, e.g. "a photo of {}"."""
    runner: Literal["ray", "local"] = "ray"
    """`ray`: the cluster of the job, or one started here. `local`: this process, without Ray."""
    device: str = "auto"
    """cpu, cuda, cuda:1; auto takes a GPU where there is one."""
    batch_size: int = 32
    """Crops and texts that go through the model at once."""
    cpus_per_worker: float = 1.0
    """With Ray: what a worker takes."""
    gpus_per_worker: float = -1.0
    """With Ray; may be a fraction. -1: one where the cluster has GPUs and a model is needed."""
    decode_threads: int = 4
    """Threads of a worker that read and decode images."""
    attempts: int = 3
    """Tries of a unit whose store fails."""
    verify: bool = False
    """Before going on, read every committed file of the layers and compare its hash."""


def run(config: Config) -> int:
    """Make the layers; returns 0, or 1 if units failed."""
    from jobs.enriching.driver import chosen_layers, enrich, local_mapper, ray_mapper, say
    from jobs.labelling.running import require_at_least
    from jobs.progress_bar import reading_bar
    from jobs.ray_session import ray_session, require_absolute
    from jobs.termination import sigterm_as_interrupt
    from pipeline.run.open import open_run

    for name in ("batch_size", "decode_threads", "attempts"):
        if getattr(config, name) < 1:
            raise ConfigError(f"{name} must be at least 1, got {getattr(config, name)}")
    require_at_least(0, "cpus_per_worker", config.cpus_per_worker)
    require_at_least(-1, "gpus_per_worker", config.gpus_per_worker)
    if "{}" not in config.prompt:
        raise ConfigError(f"prompt must hold {{}} where the phrase goes, got {config.prompt!r}")
    layers = chosen_layers(config.with_)
    require_absolute("run", config.run)
    labelled = open_run(config.run)

    def work(mapper: object) -> int:
        with reading_bar("enrich", len(labelled.commits())) as progress:
            report = enrich(
                labelled,
                layers,
                models=config.model,
                prompt=config.prompt,
                teacher=config.teacher,
                device=config.device,
                batch_size=config.batch_size,
                decode_threads=config.decode_threads,
                attempts=config.attempts,
                verify=config.verify,
                mapper=mapper,  # type: ignore[arg-type]
                progress=progress,
            )
        return say(report, config.run)

    if config.runner == "local":
        with sigterm_as_interrupt():
            return work(local_mapper)
    with ray_session():
        gpus = config.gpus_per_worker
        if gpus < 0:
            gpus = _gpus_wanted(config, layers)
        return work(ray_mapper(config.cpus_per_worker, gpus))


def _gpus_wanted(config: Config, layers: tuple[str, ...]) -> float:
    import ray

    total = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return (
        1.0
        if total.get("GPU", 0)
        and (config.model or "stability" in layers)
        and config.device != "cpu"
        else 0.0
    )
