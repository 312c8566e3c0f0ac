"""Writes a gold set as a run: the same plan, units and commits as a labelling."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from pipeline.gold.gold_set import GoldSet
from pipeline.imported.facts import told_counts, write_facts
from pipeline.imported.masks import write_masks
from pipeline.imported.pictures import (
    DAMAGED,
    MISSING,
    OTHER_SIZE,
    UNREADABLE,
    Picture,
    Pictures,
)
from pipeline.imported.rows import annotation_of, failed_annotation, span_heads
from pipeline.run.commit_unit import commit_unit
from pipeline.run.info import (
    IMPORTED,
    GoldFacts,
    KnownCategories,
    RunInfo,
    TeacherName,
    package_versions,
    write_run_info,
)
from pipeline.run.store import RunStore
from schemas.errors import DataError
from schemas.fingerprint import fingerprint
from schemas.plan import Plan, Unit
from schemas.records import PEOPLE, Annotation, TrainingSample

SAMPLES_PER_UNIT = 512


@dataclass(frozen=True, kw_only=True)
class ImportOptions:
    """What an import may be told."""

    check_images: bool = True
    """Look at every image: hash it, and set rows aside whose image has another size."""
    require_images: bool = False
    """Set rows aside whose image is missing, unreadable or damaged."""


@dataclass(kw_only=True)
class ImportSummary:
    """What an import wrote."""

    rows: int = 0
    boxes: int = 0
    phrases: int = 0
    masks: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    images: Counter[str] = field(default_factory=Counter)
    """What is wrong with images -> how many."""
    counts: dict[str, int] = field(default_factory=dict)
    """Those of the gold set."""


def write_run(
    gold: GoldSet,
    path: str,
    run: RunStore,
    options: ImportOptions,
    *,
    progress: Callable[[int], object] = lambda done: None,
) -> ImportSummary:
    """Make the gold set a complete run. Done again it changes nothing, and finishes what a kill
    left.

    Raises:
        DataError: there is nothing to import.
        FingerprintMismatch: the run holds something else.
    """
    if not gold.samples:
        reasons = "; ".join(f"{key}: {n}" for key, n in gold.counts.items() if ": " in key)
        raise DataError(f"{path} has nothing to import ({reasons or 'no sample'})")
    content = _fingerprint(gold.samples)
    teacher_id = f"{PEOPLE}{content[:12]}"
    units = _units(gold, path)
    plan = Plan(
        corpus=path,
        corpus_format=IMPORTED + gold.format,
        inputs=(),
        units=tuple(units),
        config={
            "content": content,
            "kind": str(gold.kind),
            "teacher": {"id": teacher_id},
            "check_images": options.check_images,
            "require_images": options.require_images,
        },
    )
    run.write_plan(plan)
    summary = ImportSummary()
    pictures = Pictures(web=options.require_images)
    committed = run.commits()
    for unit in units:
        if unit.unit_id not in committed:
            began = time.perf_counter()
            part = gold.samples[unit.start : unit.stop]
            rows = list(_rows(gold, part, teacher_id, options, pictures))
            commit_unit(
                run,
                unit,
                rows,
                rows_in=len(part),
                teacher_id=teacher_id,
                seconds={"read": time.perf_counter() - began},
            )
        progress(unit.stop)
    write_facts(gold, run)
    summary.masks = write_masks(gold, run)
    run.finalize()
    for commit in run.commits().values():
        summary.rows += commit.rows_out
        summary.boxes += commit.num_boxes
        summary.statuses.update(commit.status_counts)
    summary.images = pictures.counts
    summary.counts = told_counts(gold)
    info = RunInfo(
        teacher=TeacherName(id=teacher_id, name="people"),
        packages=package_versions(),
        gold=GoldFacts(
            format=gold.format,
            kind=str(gold.kind),
            counts=summary.counts,
            licenses=dict(gold.licenses),
        ),
        categories=KnownCategories(names=tuple(gold.categories), ids=tuple(gold.category_ids)),
    )
    write_run_info(run, info)
    return summary


def _rows(
    gold: GoldSet,
    samples: Sequence[TrainingSample],
    teacher_id: str,
    options: ImportOptions,
    pictures: Pictures,
) -> Iterator[Annotation]:
    for sample in samples:
        found = Picture()
        if options.check_images or options.require_images:
            found = pictures.look(sample.image_uri, (sample.width, sample.height))
        row = annotation_of(
            sample,
            teacher_id=teacher_id,
            sha256=found.sha256,
            heads=span_heads(gold, sample),
        )
        is_lost = found.problem in (MISSING, UNREADABLE, DAMAGED) and options.require_images
        if is_lost or found.problem == OTHER_SIZE:
            row = failed_annotation(row, found.status, found.detail)
        yield row


def _units(gold: GoldSet, path: str) -> list[Unit]:
    name = re.sub(r"[^A-Za-z0-9._=+-]+", "-", gold.name).strip("-.")[:100] or "gold"
    name = name if name[0].isalnum() else f"g{name}"
    ends = [*range(0, len(gold.samples), SAMPLES_PER_UNIT), len(gold.samples)]
    return [
        Unit(
            unit_id=f"{name}-{number:06d}",
            uri=path,
            kind="gold",
            start=start,
            stop=stop,
            num_records=stop - start,
        )
        for number, (start, stop) in enumerate(pairwise(ends))
    ]


def _fingerprint(samples: Sequence[TrainingSample]) -> str:
    """Of everything that the rows are made of."""
    parts = []
    for start in range(0, len(samples), 1_000):
        batch = samples[start : start + 1_000]
        parts.append(fingerprint([_values(sample) for sample in batch]))
    return fingerprint(parts)


def _values(sample: TrainingSample) -> list[object]:
    place = [sample.sample_id, sample.image_uri, sample.width, sample.height, sample.caption]
    return [*place, sample.boxes, sample.spans, sample.negative_spans]
