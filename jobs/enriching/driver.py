"""Drives an enrichment: which layers, made with what, which units lack them, and their end."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jobs.enriching.worker import EnrichSpec, UnitDone, UnitWork, enrich_one, lost
from schemas.errors import ConfigError

if TYPE_CHECKING:
    from pipeline.layers.store import LayerStore
    from pipeline.run.store import RunStore

ASKED_FOR: Mapping[str, tuple[str, ...]] = {
    "clip": ("clip", "clip_image"),
    "embeddings": ("embeddings",),
    "region-embeddings": ("region_embeddings",),
    "duplicates": ("duplicates",),
    "masks": ("masks",),
    "phrases": ("phrases",),
    "stability": ("stability",),
}
"""What `--with` takes -> the layers that are made."""
SHOWN_FAILURES = 10


@dataclass(kw_only=True)
class EnrichReport:
    """What an enrichment did."""

    units: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    failed_rows: int = 0
    example: str = ""
    failed_units: dict[str, str] = field(default_factory=dict)
    withdrawn: list[str] = field(default_factory=list)
    complete: dict[str, bool] = field(default_factory=dict)
    """Layer -> whether it has every unit of the run's plan."""

    def add(self, done: UnitDone) -> None:
        """Count one unit."""
        if done.error:
            self.failed_units[done.unit_id] = done.error
            return
        self.units += 1
        self.failed_rows += done.failed
        self.example = self.example or done.example
        for name, count in done.rows.items():
            self.rows[name] = self.rows.get(name, 0) + count


def chosen_layers(words: Sequence[str]) -> tuple[str, ...]:
    """The layers of `--with clip,masks`.

    Raises:
        ConfigError: none, or one that there is not.
    """
    given = [word.strip() for text in words for word in text.split(",") if word.strip()]
    allowed = ", ".join(ASKED_FOR)
    if not given:
        raise ConfigError(f"--with must name at least one of {allowed}")
    for word in given:
        if word not in ASKED_FOR:
            raise ConfigError(f"--with must be of {allowed}, got {word!r}")
    return tuple(dict.fromkeys(name for word in given for name in ASKED_FOR[word]))


def find_makers(
    layers: Sequence[str],
    models: Sequence[str],
    prompt: str,
    *,
    teacher: str | None = None,
    device: str = "auto",
    labelled_by: Collection[str] = (),
) -> tuple[dict[str, Mapping[str, Any]], tuple[str, ...]]:
    """Layer -> fingerprint of what makes it; and the models that are needed.

    Raises:
        ConfigError: a layer needs a model that is not given, two models make one layer, or a
            model makes none of the layers.
        MissingDependency: the hub cannot be reached.
    """
    makers: dict[str, Mapping[str, Any]] = {}
    used: dict[str, str] = {}
    if "duplicates" in layers:
        from pipeline.layers.perceptual_hash import DuplicateScorer

        makers["duplicates"] = DuplicateScorer().fingerprint()
    if "phrases" in layers:
        from pipeline.phrases.readings import PhraseReader

        makers["phrases"] = PhraseReader().fingerprint()
    if "stability" in layers:
        from model.teacher.load import teacher_identity
        from pipeline.layers.stability import stability_fingerprint

        teacher_id, identity = teacher_identity(teacher, device=device)
        if set(labelled_by) != {teacher_id}:
            raise ConfigError(
                f"teacher: layer 'stability' asks the teacher of the run again, which is "
                f"{', '.join(sorted(labelled_by)) or 'none'}; --teacher names {teacher_id}"
            )
        makers["stability"] = stability_fingerprint(teacher_id, identity)
    if models:
        from model.scorers.load import scorer_directory, scorer_fingerprint, scorer_layers

        for model in models:
            directory = scorer_directory(model)
            own = [name for name in scorer_layers(directory) if name in layers]
            if not own:
                raise ConfigError(
                    f"model {model!r} makes {', '.join(scorer_layers(directory))}, and --with asks "
                    f"for {', '.join(layers)}"
                )
            for name in own:
                if name in used:
                    raise ConfigError(
                        f"model: {used[name]!r} and {model!r} both make layer {name!r}; give one"
                    )
                used[name] = model
                makers[name] = scorer_fingerprint(directory, prompt=prompt)
    for name in layers:
        if name not in makers:
            kind = "a SAM" if name == "masks" else "a CLIP or SigLIP"
            raise ConfigError(
                f"model: layer {name!r} needs {kind} of transformers: give --model with a "
                "directory or an id of the Hugging Face hub"
            )
    return makers, tuple(dict.fromkeys(used.values()))


def enrich(
    run: RunStore,
    layers: Sequence[str],
    *,
    models: Sequence[str] = (),
    prompt: str = "{}",
    teacher: str | None = None,
    device: str = "auto",
    batch_size: int = 32,
    decode_threads: int = 4,
    attempts: int = 3,
    verify: bool = False,
    mapper: Callable[..., Iterator[UnitDone]],
    progress: Callable[[int], object] = lambda done: None,
) -> EnrichReport:
    """Make what the layers of a run lack; the same call goes on after any stop.

    Raises:
        ConfigError: see `find_makers`; a layer was made with something else, or is being made.
    """
    from pipeline.layers.store import LayerStore
    from pipeline.run.lock import run_lock
    from schemas.fingerprint import canonical_json
    from schemas.layer import KINDS, Layer

    makers, used = find_makers(
        layers,
        models,
        prompt,
        teacher=teacher,
        device=device,
        labelled_by={commit.teacher_id for commit in run.commits().values()},
    )
    report = EnrichReport()
    stores = {name: LayerStore(run, name) for name in layers}
    require_held = []
    with contextlib.ExitStack() as locks:
        for name, store in stores.items():
            require_held.append(locks.enter_context(run_lock(store, doing="enriched")))
            kind = KINDS[name]
            store.define(
                Layer(
                    name=name,
                    key=kind.key,
                    columns=tuple(column.name for column in kind.columns),
                    run_plan=run.plan_id(),
                    maker=makers[name],
                )
            )
            report.withdrawn += store.recover(verify=verify).withdrawn
        spec = EnrichSpec(
            plan_id=run.plan_id(),
            layer_ids={name: store.layer_id() for name, store in stores.items()},
            makers={name: canonical_json(dict(maker)) for name, maker in makers.items()},
            models=used,
            device=device,
            batch_size=batch_size,
            prompt=prompt,
            teacher=teacher,
            decode_threads=decode_threads,
            attempts=attempts,
        )
        for done in mapper(run, enrich_one, _work(run, stores), spec):
            report.add(done)
            progress(report.units + len(report.failed_units))
            for require in require_held:
                require()
        report.complete = {name: store.finalize() for name, store in stores.items()}
    return report


def _work(run: RunStore, stores: Mapping[str, LayerStore]) -> list[UnitWork]:
    lacks = {name: {c.unit_id for c in store.pending()} for name, store in stores.items()}
    work = [
        UnitWork(source=source, wanted=tuple(n for n in stores if unit_id in lacks[n]))
        for unit_id, source in run.commits().items()
    ]
    return [one for one in work if one.wanted]


def local_mapper(run: Any, function: Any, items: Sequence[UnitWork], spec: EnrichSpec) -> Any:
    """In this process."""
    from pipeline.run.map_units import map_run

    return map_run(run, function, items, spec, workers=1)


def ray_mapper(cpus: float, gpus: float) -> Any:
    """On a Ray that is connected; a unit whose worker died again and again is told."""

    def mapped(run: Any, function: Any, items: Sequence[UnitWork], spec: EnrichSpec) -> Any:
        from jobs.ray_map import ray_map

        needs = {"num_cpus": cpus, "num_gpus": gpus}
        return ray_map(run, function, items, spec, workers=0, needs=needs, on_lost=lost)

    return mapped


def say(report: EnrichReport, run: str) -> int:
    """Print what was done; returns 0, or 1 where units failed."""
    for unit_id in report.withdrawn:
        print(f"unit {unit_id}: its rows were lost, torn or of an older label; made again")
    rows = ", ".join(f"{name} {count:,}" for name, count in report.rows.items()) or "nothing to do"
    print(f"rows     {rows} in {report.units:,} units")
    if report.failed_rows:
        print(f"         {report.failed_rows:,} of them have a reason, e.g. {report.example}")
    for name, complete in report.complete.items():
        state = "complete" if complete else "not complete: the same command goes on"
        print(f"layer    {run}/layers/{name}: {state}")
    for unit_id, reason in list(report.failed_units.items())[:SHOWN_FAILURES]:
        print(f"glipforge enrich: unit {unit_id} failed: {reason}", file=sys.stderr)
    if len(report.failed_units) > SHOWN_FAILURES:
        more = len(report.failed_units) - SHOWN_FAILURES
        print(f"glipforge enrich: and {more:,} more units", file=sys.stderr)
    return 1 if report.failed_units else 0
