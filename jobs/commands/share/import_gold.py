"""Make a run of boxes that people drew: it is reviewed, filtered and exported like any other.

Regions to ignore (crowds, groups, difficult objects) and licences come along as the layer
`gold_facts`; docs/formats.md lists what no run can say.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

import tyro

from jobs.arguments import DirName, FileName, Run
from schemas.errors import ConfigError
from schemas.gold_format import GoldFormat

if TYPE_CHECKING:
    from pipeline.imported.write import ImportSummary

EXAMPLES = ("glipforge import instances.json --image-root images --out runs/gold",)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options of `glipforge import`."""

    path: tyro.conf.Positional[FileName]
    """The file, or the folder of formats that are folders."""
    out: Run
    """The run directory or URL to write."""
    format: GoldFormat = "auto"
    """Its format; by default it is found by looking."""
    image_root: DirName = ""
    """Where file names start; beside the file if not given."""
    split: str = ""
    """flickr30k, refcoco, voc, yolo: only this split."""
    label_map: FileName = ""
    """Names of numbered categories: odvg, imagefolder, openimages."""
    check_images: bool = True
    """Look at the images: rows whose image has another size than the labels say are set aside."""
    require_images: bool = False
    """Set rows aside whose image is missing or cannot be read; otherwise they are only counted."""


def run(config: Config) -> int:
    """Import; 0 where every sample became a row."""
    from jobs.progress_bar import reading_bar
    from pipeline.gold import load_gold
    from pipeline.gold.load import guess_format
    from pipeline.imported.write import ImportOptions, write_run
    from pipeline.run.info import require_writable
    from pipeline.run.lock import run_lock
    from pipeline.run.store import RunStore
    from pipeline.storage.files import is_local, local_path

    if config.require_images and not config.check_images:
        raise ConfigError("--require-images looks at the images: do not give --no-check-images")
    found: str = config.format
    # Absolute: the run may be read from another folder.
    path = str(Path(config.path).absolute())
    if found == "auto" and Path(path).exists():
        found = guess_format(path, grounding=True)
    root = config.image_root
    gold = load_gold(
        path,
        found,
        image_root=local_path(root) if root and is_local(root) else root,
        split=config.split,
        label_map=config.label_map,
        masks=True,
    )
    store = RunStore(config.out)
    require_writable(store)
    options = ImportOptions(check_images=config.check_images, require_images=config.require_images)
    with run_lock(store), reading_bar("import", len(gold.samples)) as progress:
        summary = write_run(gold, path, store, options, progress=progress)
    _print(config, gold.format, gold.kind, summary)
    return 0


def _print(
    config: Config,
    gold_format: str,
    kind: str,
    summary: ImportSummary,
) -> None:
    out = quote(config.out)
    lines = [
        f"{gold_format} ({kind}): {summary.rows:,} rows, {summary.boxes:,} links of a box to a "
        "phrase",
        *([f"{summary.masks:,} masks: export --masks writes them"] if summary.masks else []),
        *(f"  {status:<22} {number:,}" for status, number in summary.statuses.items()),
        *(
            f"{what}: {number:,}"
            for what, number in summary.counts.items()
            if ": " in what and number
        ),
        *(f"{number:,} x {what}" for what, number in summary.images.items()),
        f"written {config.out}",
        f"next: glipforge export {out} --format goldg --out labels.json, or glipforge review push "
        f"{out}",
    ]
    print("\n".join(lines))
