"""What is said after an export: addresses that no trainer opens, names that changed."""

from __future__ import annotations

from pipeline.export.image_files import ImagePlaces
from pipeline.export.options import ExportOptions, ExportSummary
from pipeline.export.writer import Format
from pipeline.images.address import UriKind


def add_remarks(summary: ExportSummary, images: ImagePlaces, chosen: Format) -> None:
    """Notes about the images of an export, and the option that would have been better."""
    unread = {kind: number for kind, number in images.kinds.items() if kind is not UriKind.FILE}
    if unread and images.mode == "reference" and summary.format != "glip-tsv":
        what = ", ".join(f"{number:,} of a {kind}" for kind, number in unread.items())
        summary.notes.append(f"addresses that trainers of plain files do not open: {what}")
        way = "--copy-images FOLDER" if "copy" in chosen.modes else "--images embed"
        summary.advice.append(f"{way} writes the images as plain files")
    if summary.crowds:
        summary.notes.append(f"{summary.crowds:,} regions to ignore are annotations with iscrowd 1")
    if images.outside_root:
        summary.notes.append(
            f"{images.outside_root:,} images are outside of --image-root: their whole addresses "
            "are written"
        )
    if images.renamed:
        summary.notes.append(
            f"{images.renamed:,} copies could not keep their file name, because another image has "
            "it (a hash was added), or loaders skip or refuse such a name"
        )


def idle_options(
    options: ExportOptions, chosen: Format, export_format: str, mode: str
) -> list[str]:
    """A note for each option that was given and that this format has no use for."""
    usual = ExportOptions()
    places = mode in ("copy", "link")
    uses = {
        "shard_pairs": chosen.has_shards,
        "categories": chosen.has_categories,
        "keep_pairs": export_format in ("coco", "lvis"),
        "tsv_version": export_format == "glip-tsv",
        "image_names": places,
        "seed": bool(options.split),
    }
    return [
        f"--{name.replace('_', '-')} changes nothing for {export_format}"
        + (" without --split" * (name == "seed"))
        for name, is_used in uses.items()
        if not is_used and getattr(options, name) != getattr(usual, name)
    ]
