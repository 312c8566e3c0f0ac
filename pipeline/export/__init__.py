"""Exporters of curated records: one module per format, all streaming, all with a summary."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pipeline.export.border import ExportBorder, with_gold_origin
from pipeline.export.card import CardFacts, write_card
from pipeline.export.categories import read_categories
from pipeline.export.formats.coco import CocoExport
from pipeline.export.formats.flickr30k import IMAGE_FOLDER as FLICKR_IMAGES
from pipeline.export.formats.flickr30k import Flickr30kWriter
from pipeline.export.formats.glip_tsv import GlipTsvWriter
from pipeline.export.formats.goldg import GoldgWriter
from pipeline.export.formats.grit import GritWriter
from pipeline.export.formats.hugging_face import BoxTableWriter, ImageFolderWriter, ImageTableWriter
from pipeline.export.formats.lvis import LvisWriter
from pipeline.export.formats.odvg import OdvgDetectionWriter, OdvgWriter
from pipeline.export.formats.yolo import IMAGE_FOLDER as YOLO_IMAGES
from pipeline.export.formats.yolo import YoloWriter
from pipeline.export.image_files import ImagePlaces
from pipeline.export.options import ExportOptions, ExportSummary
from pipeline.export.parts import Part, Parts
from pipeline.export.publication import Publication, publication
from pipeline.export.remarks import add_remarks, idle_options
from pipeline.export.writer import Format, Item, Target
from pipeline.run.info import KnownCategories
from schemas.errors import ConfigError, RecordError
from schemas.records import CuratedRecord

FORMATS: Mapping[str, Format] = {
    "goldg": Format(extension=".json", writer=GoldgWriter),
    "odvg": Format(extension=".jsonl", writer=OdvgWriter, keeps_empty=False),
    "odvg-detection": Format(extension=".jsonl", writer=OdvgDetectionWriter, has_categories=True),
    "coco": Format(extension=".json", writer=CocoExport, has_categories=True, has_crowds=True),
    "lvis": Format(extension=".json", writer=LvisWriter, has_categories=True),
    "glip-tsv": Format(
        extension=".tsv", writer=GlipTsvWriter, modes=("reference", "embed"), keeps_empty=False
    ),
    "grit": Format(extension=".parquet", writer=GritWriter),
    "yolo": Format(
        extension="",
        writer=YoloWriter,
        has_shards=False,
        images="copy",
        modes=("copy", "link"),
        image_prefix=YOLO_IMAGES,
        has_categories=True,
    ),
    "flickr30k": Format(
        extension="",
        writer=Flickr30kWriter,
        has_shards=False,
        images="copy",
        modes=("copy", "link", "reference"),
        image_prefix=FLICKR_IMAGES,
    ),
    "boxes": Format(extension=".parquet", writer=BoxTableWriter, keeps_empty=False),
    "hf": Format(
        extension="",
        writer=ImageTableWriter,
        images="embed",
        modes=("embed",),
        has_categories=True,
    ),
    "hf-imagefolder": Format(
        extension="",
        writer=ImageFolderWriter,
        has_shards=False,
        images="copy",
        modes=("copy", "link"),
        has_categories=True,
    ),
}
"""Every format by its name."""

__all__ = ["FORMATS", "CardFacts", "ExportOptions", "ExportSummary", "export_records", "format_of"]


def format_of(name: str, path: str) -> Format:
    """The format of that name.

    Raises:
        ConfigError: there is none, or it is not written at such a path.
    """
    if name not in FORMATS:
        raise ConfigError(f"format must be one of {', '.join(FORMATS)}, got {name!r}")
    chosen = FORMATS[name]
    if not path.endswith(chosen.extension):
        raise ConfigError(f"out must end in {chosen.extension} for {name}, got {path!r}")
    return chosen


def export_records(
    records: Iterable[CuratedRecord],
    export_format: str,
    path: str,
    options: ExportOptions | None = None,
    *,
    known_categories: KnownCategories | None = None,
    card: CardFacts | None = None,
    force: bool = False,
) -> ExportSummary:
    """Write curated records to `path` in a format; all files appear, or none.

    Args:
        path: The file to write, or the folder of formats that are folders.
        known_categories: those of an imported run.
        card: Write a data set card with these facts.
        force: Replace a folder that an earlier export made.

    Raises:
        ConfigError: unknown format, options or a path that the format does not take.
        DataError: a record breaks the contract.
    """
    chosen, options = format_of(export_format, path), options or ExportOptions()
    mode = options.images or chosen.images
    if mode not in chosen.modes:
        raise ConfigError(
            f"images must be {' or '.join(chosen.modes)} for {export_format}, got {mode!r}"
        )
    if mode in ("copy", "link") and not chosen.is_folder and not options.image_folder:
        raise ConfigError(f"images {mode!r} needs the folder where they go")
    if options.image_root and mode in ("copy", "link", "embed"):
        raise ConfigError(
            f"image_root names images where they are, and {export_format} has them in itself: give "
            "one of image_root and images "
            f"{mode}"
        )
    categories = read_categories(options.categories, known_categories)
    summary = ExportSummary(format=export_format, paths=[path])
    summary.notes += idle_options(options, chosen, export_format, mode)
    parts = Parts(options)
    with publication(path, is_folder=chosen.is_folder, force=force) as published:
        images = _image_places(mode, chosen, summary, options, published)
        border = ExportBorder(
            summary, options, images, empty=chosen.keeps_empty, crowds=chosen.has_crowds
        )
        target = Target(
            publication=published,
            border=border,
            parts=parts.first(),
            categories=categories,
            splits=parts.splits(),
            name=path.rstrip("/").rpartition("/")[2],
        )
        writer = chosen.writer(target)
        for record in map(with_gold_origin, records):
            if not border.accept(record):
                continue
            part = parts.of(record)
            item = _item(record, part, images, chosen, summary)
            if item is not None and writer.add(item):
                border.count(record, part.split)
        writer.finish()
        add_remarks(summary, images, chosen)
        summary.left_out = +summary.left_out
        if card is not None:
            write_card(published, summary, categories, card)
        summary.paths = published.main_urls()
    return summary


def _image_places(
    mode: str,
    chosen: Format,
    summary: ExportSummary,
    options: ExportOptions,
    published: Publication,
) -> ImagePlaces:
    folder, prefix = options.image_folder, ""
    if chosen.is_folder:
        prefix = f"{chosen.image_prefix}/" if chosen.image_prefix else ""
        folder = str(published.stage / chosen.image_prefix)
    return ImagePlaces(
        mode,
        summary,
        options,
        folder=folder,
        prefix=prefix,
        unique_stems=chosen.is_folder,
        as_jpeg=chosen.image_prefix == FLICKR_IMAGES,
    )


def _item(
    record: CuratedRecord, part: Part, images: ImagePlaces, chosen: Format, summary: ExportSummary
) -> Item | None:
    """The record with its image; None where that fails, which is counted."""
    sub = ""
    if chosen.is_folder and chosen.image_prefix != FLICKR_IMAGES:
        sub = f"{part.split or 'train'}/"
    try:
        if images.mode == "embed":
            name, data = images.embedded(record)
            return Item(record=record, part=part, file_name=name, image=data)
        return Item(record=record, part=part, file_name=images.file_name(record, sub))
    except RecordError as error:
        verb = {"link": "linked", "embed": "embedded"}.get(images.mode, "copied")
        summary.left_out[f"pair whose image cannot be {verb}: {error.status}"] += 1
        return None
