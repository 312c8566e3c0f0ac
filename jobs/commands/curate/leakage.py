"""Look for images of a test set in a run, before its labels are exported: copies and crops.

Hashes of the run's images are its layer `duplicates`, which is made where it is missing. The result
is RUN/leakage.json; `glipforge export --without-leaks` leaves those pairs out.
"""

from __future__ import annotations

import json as json_module
import sys
from dataclasses import dataclass
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import tyro

from jobs.arguments import DirName, Run
from schemas.errors import ConfigError, GlipforgeError

if TYPE_CHECKING:
    from pipeline.run.store import RunStore
    from pipeline.trust.leakage import Leakage
    from pipeline.trust.near_images import ImageHashes

EXAMPLES = ("glipforge leakage runs/1 --against photos",)
SHOWN = 10


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options of `glipforge leakage`."""

    run: tyro.conf.Positional[Run]
    """The run directory or URL."""
    against: Annotated[
        tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="FOLDER|COCO")
    ] = ()
    """A folder of images, or a COCO file; may be given several times."""
    images: DirName = ""
    """Where the images of a COCO file are; its own folder if not given."""
    max_distance: int = 6
    """Bits of 128 in which hashes of near copies may differ, at most 15. 0: equal hashes."""
    workers: int = 4
    """Threads that read and hash images."""
    json: bool = False
    """Print what was found as JSON."""


def run(config: Config) -> int:
    """Compare, write RUN/leakage.json, and say what leaks; returns 0."""
    from jobs.progress_bar import reading_bar
    from pipeline.run.open import open_run
    from pipeline.trust.leakage import find_leakage, write_leakage
    from pipeline.trust.near_images import MAX_DISTANCE, hash_images, image_files

    if not config.against:
        raise ConfigError("against must name a folder of images or a COCO file")
    if not 0 <= config.max_distance <= MAX_DISTANCE:
        raise ConfigError(f"max_distance must be in [0, {MAX_DISTANCE}], got {config.max_distance}")
    if config.workers < 1:
        raise ConfigError(f"workers must be at least 1, got {config.workers}")
    labelled = open_run(config.run)
    chosen = {name: image_files(name, config.images) for name in dict.fromkeys(config.against)}
    _require_hashes(labelled, config)
    others = []
    for name, paths in chosen.items():
        with reading_bar(f"hash {name}", len(paths)) as progress:
            others.append(hash_images(name, paths, workers=config.workers, progress=progress))
    with reading_bar("compare", labelled.num_records()) as progress:
        found = find_leakage(labelled, others, max_distance=config.max_distance, progress=progress)
    where = write_leakage(labelled, found)
    if config.json:
        from schemas.checked import to_plain

        print(json_module.dumps(to_plain(found), indent=1, sort_keys=True))
    else:
        _print(config, found, others, where)
    return 0


def _require_hashes(labelled: RunStore, config: Config) -> None:
    from jobs.enriching.driver import enrich, local_mapper
    from jobs.progress_bar import reading_bar

    with reading_bar("hash the run", len(labelled.commits())) as progress:
        report = enrich(
            labelled,
            ("duplicates",),
            decode_threads=config.workers,
            mapper=local_mapper,
            progress=progress,
        )
    if report.failed_units:
        unit_id, reason = next(iter(report.failed_units.items()))
        raise GlipforgeError(
            f"{len(report.failed_units):,} units cannot be hashed, the first {unit_id}: {reason}"
        )


def _print(config: Config, found: Leakage, others: list[ImageHashes], where: str) -> None:
    for other in others:
        left = len(other.unreadable)
        print(f"against  {other.name}: {len(other.names):,} images, {left:,} cannot be read")
        for reason in other.unreadable[:3]:
            print(f"         {reason}", file=sys.stderr)
    print(
        f"run      {found.pairs:,} pairs; {found.flat:,} nearly flat images and {found.unhashed:,} "
        "that cannot be read again are compared by content alone"
    )
    for kind in ("exact", "near", "crop"):
        own = [leak for leak in found.leaks if leak.kind == kind]
        print(f"{kind:<8} {len({leak.record_id for leak in own}):,} pairs")
        for leak in own[:SHOWN]:
            bits = f" ({leak.distance} of 128 bits)" if kind != "exact" else ""
            print(f"         {leak.record_id}  {leak.image_uri}  =  {leak.other}{bits}")
        if len(own) > SHOWN:
            print(f"         and {len(own) - SHOWN:,} more")
    print(f"written  {where}")
    if found.leaks:
        print(f"next: glipforge export {quote(config.run)} --without-leaks --out labels.json")
