"""Write curated labels as grounding data that other trainers read.

The run is curated first where it was not yet, or where annotations or decisions came since.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import tyro

from jobs.arguments import DirName, FileName, Run
from schemas.errors import ConfigError

if TYPE_CHECKING:
    from pipeline.export import ExportSummary
    from schemas.records import CuratedRecord

EXAMPLES = ("glipforge export runs/1 --format odvg --out labels.jsonl --copy-images images",)
EXTENSIONS = {
    "goldg": ".json",
    "coco": ".json",
    "lvis": ".json",
    "odvg": ".jsonl",
    "glip-tsv": ".tsv",
    "grit": ".parquet",
}


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options of `glipforge export`."""

    run: tyro.conf.Positional[Run]
    """The run directory or URL."""
    out: FileName
    """The file to write: .json for goldg, coco and lvis, .jsonl for odvg, .tsv for glip-tsv,
    .parquet for grit."""
    policy: str = "default"
    """Preset or JSON file, as for `glipforge filter`."""
    format: Literal["goldg", "odvg", "coco", "lvis", "glip-tsv", "grit"] = "goldg"
    """goldg is MDETR's grounding JSON, which GLIP and Grounding DINO train on."""
    image_root: DirName = ""
    """Write file names relative to this folder; whole addresses if not given."""
    copy_images: DirName = ""
    """Copy every image, upright, into this folder, and write file names relative to it. Needed
    where images are members of archives, or have an EXIF orientation that trainers ignore."""
    categories: Literal["head", "object"] = "head"
    """coco: one category per head noun, or a single dummy one."""
    force: bool = False
    """Replace the file if it exists."""


def run(config: Config) -> int:
    """Export and say what was left out."""
    from jobs.progress_bar import reading_bar
    from pipeline.curation.curate import ensure_curated, iter_curated
    from pipeline.curation.policy import get_policy
    from pipeline.export import ExportOptions, export_records
    from pipeline.export.image_files import ImageCopier
    from pipeline.run.limits import image_limits
    from pipeline.run.open import num_records, open_run
    from pipeline.storage.files import exists

    extension = EXTENSIONS[config.format]
    if not config.out.endswith(extension):
        raise ConfigError(f"out must end in {extension} for {config.format}, got {config.out!r}")
    if config.copy_images and config.image_root:
        raise ConfigError("give image_root or copy_images, not both: copies have their own root")
    if exists(config.out) and not config.force:
        raise ConfigError(f"out {config.out!r} exists; give --force to replace it")
    policy = get_policy(config.policy)
    labelled = open_run(config.run)
    with reading_bar("curate", num_records(labelled)) as progress:
        stats = ensure_curated(labelled, policy, progress=progress)
    records = iter_curated(labelled, policy.policy_id)
    copier = None
    if config.copy_images:
        copier = ImageCopier(config.copy_images, image_limits(labelled))
    with reading_bar("export", stats.records_out) as progress:
        counted = _counted(records if copier is None else copier.copied(records), progress)
        options = ExportOptions(
            image_root=copier.folder if copier else config.image_root, categories=config.categories
        )
        summary = export_records(counted, config.format, config.out, options)
    if copier is not None:
        summary.left_out.update(copier.left_out)
    _print(summary, policy.policy_id)
    return 0


def _counted(
    records: Iterable[CuratedRecord], progress: Callable[[int], None]
) -> Iterator[CuratedRecord]:
    for done, record in enumerate(records, start=1):
        yield record
        if done % 500 == 0:
            progress(done)


def _print(summary: ExportSummary, policy_id: str) -> None:
    from rich.console import Console

    console = Console()
    lines = [
        f"policy {policy_id}",
        f"{summary.format}: {summary.records:,} pairs, {summary.boxes:,} boxes, "
        f"{summary.spans:,} box-phrase links, {summary.negatives:,} negative phrases",
        *(f"left out: {number:,} x {reason}" for reason, number in summary.left_out.items()),
        *(f"note: {note}" for note in summary.notes),
        *(f"written {path}" for path in summary.paths),
    ]
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)
