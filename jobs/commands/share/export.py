"""Write curated labels as grounding data that other trainers read.

The run is curated first where it was not yet, or where annotations or decisions came since.
docs/formats.md says which program reads which format, and what each cannot say.
"""

from __future__ import annotations

from dataclasses import dataclass
from shlex import quote
from typing import TYPE_CHECKING, Literal

import tyro

from jobs.arguments import DirName, FileName, Repeated, Run
from schemas.errors import ConfigError

if TYPE_CHECKING:
    from pipeline.export.export import ExportRequest
    from pipeline.export.options import ExportSummary

EXAMPLES = ("glipforge export runs/1 --format odvg --out labels.jsonl --copy-images images",)
FormatName = Literal[
    "goldg",
    "odvg",
    "odvg-detection",
    "coco",
    "lvis",
    "glip-tsv",
    "grit",
    "yolo",
    "flickr30k",
    "boxes",
    "hf",
    "hf-imagefolder",
]


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options of `glipforge export`."""

    run: tyro.conf.Positional[Run]
    """The run directory or URL."""
    out: FileName
    """The file to write: .json for goldg, coco and lvis, .jsonl for odvg and odvg-detection, .tsv
    for glip-tsv, .parquet for grit and boxes; a folder for yolo, flickr30k, hf, hf-imagefolder."""
    policy: str = ""
    """Preset or JSON file, as for `glipforge filter`; by default `default`, and for a run that was
    imported all that people labelled."""
    format: FormatName = "goldg"
    """goldg is MDETR's grounding JSON, which GLIP and Grounding DINO train on."""
    merge: Repeated = ()
    """Another run, written behind the first."""
    merge_rule: Literal["first", "union"] = "first"
    """Pairs that several runs have: the first run's boxes, or those of all, where of two boxes of
    one phrase that overlap (IoU 0.5) a person's stays, else the first run's."""
    image_root: DirName = ""
    """Write file names relative to this folder; whole addresses if not given."""
    copy_images: DirName = ""
    """Copy every image, upright, into this folder, and write file names relative to it. Needed
    where images are members of archives, or have an EXIF orientation that trainers ignore."""
    link_images: DirName = ""
    """The same with symbolic links, for images that are plain upright files."""
    images: Literal["auto", "reference", "copy", "link", "embed"] = "auto"
    """Formats that are folders keep copies or links in it; glip-tsv can embed (a TSV of images)."""
    image_names: Literal["original", "content"] = "original"
    """Names of copies: their own, or a hash of their bytes in folders of 256."""
    categories: str = "head"
    """Formats with categories: head (one per head noun), object (one for all), "cat, dog", or a
    file: a name a line, JSON of numbers to names or of names to synonyms, YOLO's data.yaml."""
    keep_pairs: bool = False
    """coco, lvis: one image entry per caption of an image, not one per image."""
    masks: bool = False
    """coco, lvis: write the masks of the layer `masks` as `segmentation`."""
    split: str = ""
    """Shares of train and val (and test) such as 0.9,0.1, by image: copies stay together."""
    shard_pairs: int = 0
    """Begin a new file after so many pairs; 0: one file."""
    seed: int = 0
    """Of the split."""
    tsv_version: Literal[1, 2] = 1
    """glip-tsv: rows of GLIP's caption_format_version v1 or v2."""
    card: bool = True
    """Write a data set card: README.md in a folder, NAME.README.md beside a file."""
    license: str = ""
    """Of the images, for the card."""
    pairs: FileName = ""
    """Only the pairs whose record ids stand in this file, one a line."""
    without_leaks: bool = False
    """Leave out the pairs that `glipforge leakage` found in a test set."""
    force: bool = False
    """Replace the file, or the folder of an earlier export."""


def run(config: Config) -> int:
    """Export and say what was left out."""
    from jobs.progress_bar import reading_bar
    from pipeline.export.export import Export

    summary = Export(_request(config)).write(reading_bar)
    summary.advice += _check(config, summary)
    _print(summary, config.policy)
    return 0


def _check(config: Config, summary: ExportSummary) -> list[str]:
    """The command that looks at files whose images are in a folder of their own."""
    folder = config.copy_images or config.link_images
    if not folder or "://" in f"{config.out}{folder}":
        return []
    found = next((path for path in summary.paths if not path.endswith(".md")), config.out)
    return [f"glipforge validate {quote(found)} --image-root {quote(folder)}"]


def _request(config: Config) -> ExportRequest:
    """What the command line asks for."""
    from pipeline.export.export import ExportRequest
    from pipeline.export.options import ExportOptions

    try:
        split = tuple(float(share) for share in config.split.split(",")) if config.split else ()
    except ValueError as error:
        raise ConfigError(f"split must be shares such as 0.9,0.1, got {config.split!r}") from error
    return ExportRequest(
        runs=(config.run, *config.merge),
        out=config.out,
        format=config.format,
        policy=config.policy,
        merge_rule=config.merge_rule,
        masks=config.masks,
        pairs=config.pairs,
        without_leaks=config.without_leaks,
        card=config.card,
        license=config.license,
        force=config.force,
        options=ExportOptions(
            image_root=config.image_root,
            images=_image_mode(config),
            image_folder=config.copy_images or config.link_images,
            image_names=config.image_names,
            categories=config.categories,
            keep_pairs=config.keep_pairs,
            split=split,
            shard_pairs=config.shard_pairs,
            seed=config.seed,
            tsv_version=config.tsv_version,
        ),
    )


def _image_mode(config: Config) -> str:
    """What is done with images; empty: what the format does by itself."""
    from pipeline.export import FORMATS

    folders = {"copy": config.copy_images, "link": config.link_images}
    given = [mode for mode, folder in folders.items() if folder]
    if len(given) > 1:
        raise ConfigError("give copy_images or link_images, not both")
    if given and config.image_root:
        raise ConfigError("give image_root or copy_images, not both: copies have their own root")
    if given and FORMATS[config.format].is_folder:
        raise ConfigError(
            f"{config.format} keeps its images in its own folder: give --images {given[0]} in "
            f"place of --{given[0]}-images"
        )
    if given and config.images not in ("auto", given[0]):
        raise ConfigError(f"give images {config.images} or {given[0]}_images, not both")
    if config.format == "glip-tsv" and given:
        raise ConfigError(
            "the rows of glip-tsv name no files: give --images embed, which writes the TSV of "
            f"images that the loader reads, in place of --{given[0]}-images"
        )
    return given[0] if given else "" if config.images == "auto" else config.images


def _print(summary: ExportSummary, policy: str) -> None:
    from rich.console import Console

    console = Console()
    splits = {name: number for name, number in summary.split_pairs.items() if name}
    lines = [
        f"policy {', '.join(summary.policies) or policy or 'default'}",
        f"{summary.format}: {summary.records:,} pairs, {summary.boxes:,} boxes, "
        f"{summary.spans:,} box-phrase links, {summary.negatives:,} negative phrases",
        *(f"split {name}: {number:,} pairs" for name, number in splits.items()),
        *([f"{summary.images:,} images written"] if summary.images else []),
        *(f"left out: {number:,} x {reason}" for reason, number in summary.left_out.items()),
        *(f"note: {note}" for note in summary.notes),
        *(f"written {path}" for path in summary.paths),
        *(f"next: {advice}" for advice in summary.advice),
    ]
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)
