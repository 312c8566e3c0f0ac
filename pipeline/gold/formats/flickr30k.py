"""Flickr30k Entities: bracketed sentences beside one XML of boxes per image.

A sentence line reads `[/EN#11/people Two kids] fly [/EN#12/other a red kite] .`; a chain (11) has
its boxes in the XML of the image. The XML counts pixels from 1 and includes the last one.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from pipeline.gold.checks import image_size, join_uri, read_text, usable_xyxy
from pipeline.gold.gold_set import GoldCounts, GoldKind, GoldSet, finish_counts
from pipeline.gold.opened import read_xml
from schemas.errors import DataError
from schemas.records import Span, TrainingSample, Xyxy

NOT_VISUAL = "phrase: not visual (chain 0)"
NO_BOX = "phrase: marked as having no box"
SCENE = "phrase: marked as the whole scene"
UNKNOWN_CHAIN = "phrase: its chain is not in the XML"

# Some sentences leave the type out: `[/EN#11 Some fireworks]`.
_OPEN = re.compile(r"\[/EN#(\d+)(?:/[^\s\]]+)*\s+")


@dataclass(frozen=True, slots=True)
class _Box:
    number: int
    """Its place in the XML: two objects may have equal boxes."""
    xyxy: Xyxy
    published: Xyxy
    """The numbers of the XML."""


def load_flickr30k(
    path: str, *, image_root: str = "", split: str = "", counts: GoldCounts | None = None
) -> GoldSet:
    """One sample per sentence of a Flickr30k Entities directory (Sentences/ and Annotations/).

    `split` names a file of image ids, one a line, in the directory (`val.txt`); empty: all.

    Raises:
        DataError: a file is missing or breaks the format.
    """
    folder = Path(path)
    counts = GoldCounts() if counts is None else counts
    root = image_root or str(folder / "flickr30k-images")
    samples: list[TrainingSample] = []
    published: dict[str, tuple[Xyxy, ...]] = {}
    for image_id in _image_ids(folder, split):
        with counts.entry():
            samples += _image_samples(folder, image_id, root, counts, published)
    return GoldSet(
        name=folder.name,
        format="flickr30k",
        kind=GoldKind.GROUNDING,
        samples=tuple(samples),
        published_boxes=published,
        counts=finish_counts(counts, tuple(samples)),
    )


def _image_samples(
    folder: Path,
    image_id: str,
    root: str,
    counts: GoldCounts,
    published: dict[str, tuple[Xyxy, ...]],
) -> list[TrainingSample]:
    xml = folder / "Annotations" / f"{image_id}.xml"
    size_wh, boxes_of, without = _read_xml(xml, counts)
    # Not splitlines: a caption may hold a Unicode line separator.
    text = read_text(folder / "Sentences" / f"{image_id}.txt").replace("\r\n", "\n")
    samples = []
    for number, line in enumerate(line for line in text.split("\n") if line.strip()):
        where = f"{image_id}.txt line {number + 1}"
        with counts.entry():
            caption, phrases = parse_sentence(line, where=where)
            named = _named_boxes(phrases, boxes_of, without, counts, where)
            sample_id = f"{folder.name}/{image_id}#{number}"
            published[sample_id] = tuple(box.published for box, _ in named)
            samples.append(
                TrainingSample(
                    sample_id=sample_id,
                    image_uri=join_uri(root, f"{image_id}.jpg"),
                    width=size_wh[0],
                    height=size_wh[1],
                    caption=caption,
                    boxes=tuple(box.xyxy for box, _ in named),
                    spans=tuple(spans for _, spans in named),
                    weights=(1.0,) * len(named),
                    source=folder.name,
                )
            )
    return samples


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
    boxes_of: dict[str, list[_Box]],
    without: dict[str, str],
    counts: GoldCounts,
    where: str,
) -> list[tuple[_Box, tuple[Span, ...]]]:
    """The boxes that a sentence names, each with all its spans, in the order of the sentence."""
    spans_of: dict[_Box, list[Span]] = {}
    for span, chain in phrases:
        if boxes_of.get(chain):
            for box in boxes_of[chain]:
                spans_of.setdefault(box, []).append(span)
        elif chain == "0":
            counts[f"dropped: {NOT_VISUAL}"] += 1
        elif chain in without:
            counts[f"dropped: {without[chain]}"] += 1
        else:
            counts.drop(UNKNOWN_CHAIN, where=where)
    return [(box, tuple(spans)) for box, spans in spans_of.items()]


def _read_xml(
    path: Path, counts: GoldCounts
) -> tuple[tuple[int, int], dict[str, list[_Box]], dict[str, str]]:
    try:
        tree = read_xml(path)
        size = {key: int(tree.findtext(f"size/{key}", "")) for key in ("width", "height")}
    except ValueError as error:
        raise DataError(f"{path} is not an annotation of Flickr30k Entities: {error}") from error
    size_wh = image_size(size, str(path))
    boxes_of: dict[str, list[_Box]] = defaultdict(list)
    without: dict[str, str] = {}
    for number, entry in enumerate(tree.findall("object")):
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
        where = f"{path}: object {number + 1}"
        xyxy = usable_xyxy((x0 - 1, y0 - 1, x1, y1), size_wh, counts, where)
        if xyxy is not None:
            for chain in chains:
                boxes_of[chain].append(_Box(number, xyxy, (x0, y0, x1, y1)))
    return size_wh, boxes_of, without


def _image_ids(folder: Path, split: str) -> list[str]:
    if split:
        listed = folder / (split if (folder / split).is_file() else f"{split}.txt")
        if not listed.is_file():
            raise DataError(
                f"split {split!r} is not a file in {str(folder)!r}: a list such as val.txt"
            )
        # By line, as its readers do: names of files may have blanks.
        lines = (line.strip() for line in read_text(listed).split("\n"))
        return [line for line in lines if line]
    ids = sorted(path.stem for path in (folder / "Sentences").glob("*.txt"))
    if not ids:
        raise DataError(f"{folder} has no Sentences/*.txt: it is not Flickr30k Entities")
    return ids
