"""Look for everything that is wrong with a file of boxes: schema, ids, frames, spans, images.

Each problem is printed with its place. Exit code 1 where there is one.
"""

from __future__ import annotations

import json as json_module
from dataclasses import asdict, dataclass

import tyro

from jobs.arguments import DirName, FileName
from schemas.errors import ConfigError
from schemas.gold_format import GoldFormat
from schemas.redaction import shown

EXAMPLES = ("glipforge validate labels.json --image-root images",)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options of `glipforge validate`."""

    path: tyro.conf.Positional[FileName]
    """The file, or the folder of formats that are folders."""
    format: GoldFormat = "auto"
    """Its format; by default it is found by looking."""
    image_root: DirName = ""
    """Where file names start; beside the file if not given."""
    split: str = ""
    """flickr30k, refcoco, voc, yolo: only this split."""
    label_map: FileName = ""
    """Names of numbered categories: odvg, imagefolder, openimages."""
    images: bool = True
    """Also open every image: is it there, and of the size that the labels say?"""
    decode_images: bool = False
    """Also decode every image to its last pixel, not only those that may have been cut off."""
    show: int = 50
    """Problems that are printed; all are counted."""
    json: bool = False
    """Print JSON instead of text."""


def run(config: Config) -> int:
    """Validate; 1 where something is wrong."""
    from jobs.progress_bar import reading_bar
    from pipeline.validate.check import validate

    if config.decode_images and not config.images:
        raise ConfigError("--decode-images looks at the images: do not give --no-images")
    with reading_bar("images", 0) as progress:
        found = validate(
            config.path,
            config.format,
            image_root=config.image_root,
            split=config.split,
            label_map=config.label_map,
            images=config.images,
            decode_images=config.decode_images,
            limit=max(config.show, 0),
            progress=progress,
        )
    if config.json:
        print(json_module.dumps(asdict(found), indent=1, sort_keys=True, ensure_ascii=False))
        return 1 if found.counts else 0
    total = found.counts.total()
    lines = [shown(f"{problem.where}: {problem.what}") for problem in found.problems]
    if total > len(found.problems):
        lines.append(f"... and {total - len(found.problems):,} more; --show {total} prints all")
    lines += [shown(f"{number:,} x {what}") for what, number in found.counts.most_common(20)]
    lines.append(
        f"{found.format or 'unknown'}: {found.samples:,} samples, {found.boxes:,} boxes, "
        f"{found.images:,} images looked at; {total:,} problems"
    )
    print("\n".join(lines))
    return 1 if total else 0
