"""What makes the layers of one unit: a function that a process calls for many units.

The models are loaded once in a process. A unit whose layers cannot be made is told, not raised:
the others go on.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from schemas.errors import ConfigError, RetryableError, failure_of

if TYPE_CHECKING:
    from pipeline.phrases.readings import PhraseReader
    from pipeline.run.store import RunStore
    from schemas.layer import LayerScorer
    from schemas.plan import UnitCommit

BACKOFF_S = 1.0
PHRASES = "phrases"
"""The layer that needs no image."""


@dataclass(frozen=True, kw_only=True)
class EnrichSpec:
    """What every unit is enriched with; sent to a worker once.

    plan_id, layer_ids: of the run and of its layers, which the markers carry.
    models: as the user gave them; each worker finds or fetches them itself.
    """

    plan_id: str
    layer_ids: dict[str, str]
    makers: dict[str, str]
    """Layer -> canonical JSON of what the driver found that it is made with."""
    models: tuple[str, ...]
    device: str
    batch_size: int
    prompt: str
    teacher: str | None
    """Of the layer `stability`; None: the shipped one."""
    decode_threads: int
    attempts: int


@dataclass(frozen=True, kw_only=True)
class UnitWork:
    """One unit and the layers that it lacks."""

    source: UnitCommit
    wanted: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class UnitDone:
    """What became of a unit; `error` is empty where its layers are committed."""

    unit_id: str
    rows: dict[str, int]
    """Layer -> rows."""
    failed: int = 0
    """Rows that have a reason instead of values."""
    example: str = ""
    error: str = ""


_tools: tuple[EnrichSpec, list[LayerScorer], ThreadPoolExecutor] | None = None


def enrich_one(run: RunStore, spec: EnrichSpec, work: UnitWork) -> UnitDone:
    """Make and commit the layers of a unit.

    Raises:
        ConfigError: a model cannot be loaded or is not the driver's; a store refuses.
    """
    scorers, pool = _loaded(spec)
    run.know_plan_id(spec.plan_id)
    error = ""
    for attempt in range(spec.attempts):
        try:
            return _enrich(run, spec, work, scorers, pool)
        except ConfigError:
            raise
        except RetryableError as problem:
            error = failure_of(problem)
            if attempt + 1 < spec.attempts:
                time.sleep(BACKOFF_S * 2**attempt)
        except Exception as problem:  # one unit: said in the end, the others go on
            return lost(work, problem)
    return UnitDone(unit_id=work.source.unit_id, rows={}, error=error)


def lost(work: UnitWork, problem: Exception) -> UnitDone:
    """A unit that nobody could enrich, with the reason in a line."""
    first, _, _ = failure_of(problem).partition("\n")
    return UnitDone(unit_id=work.source.unit_id, rows={}, error=first)


def _enrich(
    run: RunStore,
    spec: EnrichSpec,
    work: UnitWork,
    scorers: Sequence[LayerScorer],
    pool: ThreadPoolExecutor,
) -> UnitDone:
    from pipeline.layers.enrich_unit import enrich_unit
    from pipeline.layers.phrase_layer import phrase_rows
    from pipeline.layers.store import LayerStore
    from pipeline.run.commit_protocol import ANNOTATIONS
    from pipeline.run.limits import image_access

    began = time.perf_counter()
    seconds: dict[str, float] = {}
    rows = [
        row
        for file in work.source.files
        if file.path.startswith(f"{ANNOTATIONS}/")
        for row in run.read_rows(work.source, file)
    ]
    of_images = [name for name in work.wanted if name != PHRASES]
    made = (
        enrich_unit(rows, scorers, of_images, pool=pool, seconds=seconds, access=image_access(run))
        if of_images
        else {}
    )
    if PHRASES in work.wanted:
        made[PHRASES] = phrase_rows(rows, phrase_reader(spec.makers[PHRASES]))
    seconds["total"] = time.perf_counter() - began
    failed, example = 0, ""
    for name, part in made.items():
        layer = LayerStore(run, name)
        layer.know_layer_id(spec.layer_ids[name])
        layer.commit(work.source, part, seconds)
        failed += sum(n for status, n in part.statuses.items() if status != "ok")
        example = example or next(iter(part.examples.values()), "")
    counts = {name: part.table.num_rows for name, part in made.items()}
    return UnitDone(unit_id=work.source.unit_id, rows=counts, failed=failed, example=example)


def _loaded(spec: EnrichSpec) -> tuple[list[LayerScorer], ThreadPoolExecutor]:
    global _tools
    if _tools is None or _tools[0] != spec:
        scorers = load_scorers(spec)
        _tools = (spec, scorers, ThreadPoolExecutor(spec.decode_threads, "decode"))
    return _tools[1], _tools[2]


@lru_cache(maxsize=1)
def phrase_reader(wanted: str) -> PhraseReader:
    """What reads phrases, loaded once in a process.

    Raises:
        ConfigError: it is not the one that the driver saw.
    """
    from pipeline.phrases.readings import PhraseReader
    from schemas.fingerprint import canonical_json

    reader = PhraseReader()
    found = canonical_json(dict(reader.fingerprint()))
    if found != wanted:
        raise ConfigError(
            f"layer phrases: what this worker loads is not what the driver found: {found} against "
            f"{wanted}; are all nodes alike?"
        )
    return reader


def load_scorers(spec: EnrichSpec) -> list[LayerScorer]:
    """What makes the layers of a spec.

    Raises:
        ConfigError: a model cannot be loaded, or is not the one that the driver saw.
    """
    from pipeline.layers.perceptual_hash import DuplicateScorer
    from schemas.fingerprint import canonical_json

    scorers: list[LayerScorer] = []
    if "duplicates" in spec.layer_ids:
        scorers.append(DuplicateScorer())
    if "stability" in spec.layer_ids:
        from model.teacher.load import load_teacher
        from pipeline.layers.stability import StabilityScorer

        scorers.append(StabilityScorer(load_teacher(spec.teacher, device=spec.device)))
    if spec.models:
        from model.scorers.load import load_scorer, scorer_directory
        from model.teacher.load import torch_device

        place = torch_device(spec.device)
        scorers += [
            load_scorer(
                scorer_directory(model),
                device=place,
                batch_size=spec.batch_size,
                prompt=spec.prompt,
            )
            for model in spec.models
        ]
    for scorer in scorers:
        found = canonical_json(dict(scorer.fingerprint()))
        for kind in scorer.kinds:
            if spec.makers.get(kind.name, found) != found:
                raise ConfigError(
                    f"model: what this worker loads for layer {kind.name} is not what the driver "
                    f"found: {found} against {spec.makers[kind.name]}; are all nodes alike?"
                )
    return scorers
