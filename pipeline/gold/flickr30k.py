"""Flickr30k Entities: bracketed sentences beside one XML of boxes per image.

A sentence line reads `[/EN#11/people Two kids] fly [/EN#12/other a red kite] .`; a chain (11) has
its boxes in the XML of the image. The XML counts pixels from 1 and includes the last one.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from pathlib import Path

from pipeline.gold.checks import image_size, join_uri, usable_xyxy
from pipeline.gold.gold_set import GoldCounts, GoldKind, GoldSet, finish_counts
from schemas.errors import DataError
from schemas.records import Span, TrainingSample, Xyxy

NOT_VISUAL = "phrase: not visual (chain 0)"
NO_BOX = "phrase: marked as having no box"
SCENE = "phrase: marked as the whole scene"
UNKNOWN_CHAIN = "phrase: its chain is not in the XML"

_OPEN = re.compile(r"\[/EN#(\d+)(?:/[^\s\]]+)+\s+")


def load_flickr30k(path: str, *, image_root: str = "", split: str = "") -> GoldSet:
    """One sample per sentence of a Flickr30k Entities directory (Sentences/ and Annotations/).

    `split` names a file of image ids, one a line, in the directory (`val.txt`); empty: all.

    Raises:
        DataError: a file is missing or breaks the format.
    """
    folder, counts = Path(path), GoldCounts()
    root = image_root or str(folder / "flickr30k-images")
    samples: list[TrainingSample] = []
    for image_id in _image_ids(folder, split):
        size_wh, boxes_of, without = _read_xml(folder / "Annotations" / f"{image_id}.xml", counts)
        text = _read_text(folder / "Sentences" / f"{image_id}.txt")
        for number, line in enumerate(line for line in text.splitlines() if line.strip()):
            caption, phrases = parse_sentence(line, where=f"{image_id}.txt line {number + 1}")
            named = _named_boxes(phrases, boxes_of, without, counts)
            samples.append(
                TrainingSample(
                    sample_id=f"{folder.name}/{image_id}#{number}",
                    image_uri=join_uri(root, f"{image_id}.jpg"),
                    width=size_wh[0],
                    height=size_wh[1],
                    caption=caption,
                    boxes=tuple(xyxy for xyxy, _ in named),
                    spans=tuple((span,) for _, span in named),
                    weights=(1.0,) * len(named),
                    source=folder.name,
                )
            )
    return GoldSet(
        name=folder.name,
        format="flickr30k",
        kind=GoldKind.GROUNDING,
        samples=tuple(samples),
        counts=finish_counts(counts, tuple(samples)),
    )


def parse_sentence(line: str, *, where: str) -> tuple[str, list[tuple[Span, str]]]:
    """A bracketed sentence as plain text, and the span and chain of every phrase.

    Raises:
        DataError: a bracket is not closed.
    """
    caption, phrases, position = "", [], 0
    while (match := _OPEN.search(line, position)) is not None:
        caption += line[position : match.start()]
        close = line.find("]", match.end())
        if close < 0:
            raise DataError(f"{where}: the bracket at column {match.start() + 1} is not closed")
        text = line[match.end() : close]
        phrases.append(((len(caption), len(caption) + len(text)), match.group(1)))
        caption += text
        position = close + 1
    return caption + line[position:], phrases


def _named_boxes(
    phrases: list[tuple[Span, str]],
    boxes_of: dict[str, list[Xyxy]],
    without: dict[str, str],
    counts: GoldCounts,
) -> list[tuple[Xyxy, Span]]:
    named = []
    for span, chain in phrases:
        if boxes_of.get(chain):
            named += [(xyxy, span) for xyxy in boxes_of[chain]]
        elif chain == "0":
            counts.drop(NOT_VISUAL)
        else:
            counts.drop(without.get(chain, UNKNOWN_CHAIN))
    return named


def _read_xml(
    path: Path, counts: GoldCounts
) -> tuple[tuple[int, int], dict[str, list[Xyxy]], dict[str, str]]:
    try:
        tree = ElementTree.fromstring(_read_text(path))
        size = {key: int(tree.findtext(f"size/{key}", "")) for key in ("width", "height")}
    except (ElementTree.ParseError, ValueError) as error:
        raise DataError(f"{path} is not an annotation of Flickr30k Entities: {error}") from error
    size_wh = image_size(size, str(path))
    boxes_of: dict[str, list[Xyxy]] = defaultdict(list)
    without: dict[str, str] = {}
    for entry in tree.findall("object"):
        chains = [name.text or "" for name in entry.findall("name")]
        box = entry.find("bndbox")
        if box is None:
            is_scene = entry.findtext("scene", "0").strip() == "1"
            without |= dict.fromkeys(chains, SCENE if is_scene else NO_BOX)
            continue
        try:
            x0, y0, x1, y1 = (float(box.findtext(k, "")) for k in ("xmin", "ymin", "xmax", "ymax"))
        except ValueError as error:
            raise DataError(f"{path}: a bndbox is not four numbers: {error}") from error
        xyxy = usable_xyxy((x0 - 1, y0 - 1, x1, y1), size_wh, counts)
        if xyxy is not None:
            for chain in chains:
                boxes_of[chain].append(xyxy)
    return size_wh, boxes_of, without


def _image_ids(folder: Path, split: str) -> list[str]:
    if split:
        return _read_text(folder / split).split()
    ids = sorted(path.stem for path in (folder / "Sentences").glob("*.txt"))
    if not ids:
        raise DataError(f"{folder} has no Sentences/*.txt: it is not Flickr30k Entities")
    return ids


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"gold file {str(path)!r} cannot be read: {error}") from error
