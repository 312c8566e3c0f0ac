"""Everything that is wrong with a file of boxes: what a reader would drop, change or trip over.

The readers of gold data do the looking: with a place for every problem, and going on behind it.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from pipeline.gold import load_gold
from pipeline.gold.gold_set import GoldCounts, GoldSet
from pipeline.gold.load import guess_format, require_there
from pipeline.imported.pictures import Pictures
from schemas.errors import DataError
from schemas.records import TrainingSample


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong."""

    where: str
    """File and entry, such as `val.json: annotations[3]`."""
    what: str


@dataclass(kw_only=True)
class Findings:
    """What a check found."""

    path: str
    format: str = ""
    samples: int = 0
    boxes: int = 0
    images: int = 0
    """Images that were looked at."""
    problems: list[Problem] = field(default_factory=list)
    """The first `limit` of them."""
    counts: Counter[str] = field(default_factory=Counter)
    """What is wrong -> how often, all of it."""


def validate(
    path: str,
    gold_format: str = "auto",
    *,
    image_root: str = "",
    split: str = "",
    label_map: str = "",
    images: bool = True,
    decode_images: bool = False,
    limit: int = 1_000,
    progress: Callable[[int], object] = lambda done: None,
) -> Findings:
    """Read a file or folder in its format and report every problem.

    Args:
        images: Also open each image: is it there, is it of the size that the labels say?
        decode_images: Also decode each of them to its last pixel.
        limit: So many problems are kept with their place; all are counted.

    Raises:
        ConfigError: the path does not exist, or its format cannot be told.
    """
    require_there(path, "path")
    findings = Findings(path=path)

    def report(where: str, what: str, kind: str = "") -> None:
        kind = kind or what  # counted by kind: what names a file is another sentence for each
        if not where:  # an entry that broke its format says its place itself
            where, colon, rest = what.partition(": ")
            while colon and not where.endswith("]") and rest.partition(": ")[0].endswith("]"):
                more, colon, rest = rest.partition(": ")
                where = f"{where}: {more}"
            kind, what = "entry that breaks the format", rest or what
        findings.counts[kind] += 1
        if len(findings.problems) < limit:
            findings.problems.append(Problem(where=where or path, what=what))

    try:
        findings.format = guess_format(path) if gold_format == "auto" else gold_format
        gold = load_gold(
            path,
            findings.format,
            image_root=image_root,
            split=split,
            label_map=label_map,
            counts=GoldCounts(report),
            labelled=False,
        )
    except DataError as error:
        report(path, str(error).removeprefix(f"{path}: "))
        return findings
    findings.samples = len(gold.samples)
    findings.boxes = sum(len(sample.boxes) for sample in gold.samples)
    if images and findings.format != "glip-tsv":  # whose images are rows of another TSV
        _check_images(gold, findings, report, progress, Pictures(decode=decode_images))
    return findings


def _check_images(
    gold: GoldSet,
    findings: Findings,
    report: Callable[[str, str, str], None],
    progress: Callable[[int], object],
    pictures: Pictures,
) -> None:
    seen: dict[str, tuple[int, int]] = {}
    for number, sample in enumerate(gold.samples):
        size_wh = _size(sample)
        if seen.setdefault(sample.image_uri, size_wh) != size_wh:
            what = f"has {size_wh}, an earlier entry of its image {seen[sample.image_uri]}"
            report(f"sample {sample.sample_id}", what, "")
        elif seen[sample.image_uri] is size_wh:
            findings.images += 1
            found = pictures.look(sample.image_uri, size_wh)
            if found.problem:
                detail = found.detail or os.path.basename(sample.image_uri)
                report(f"sample {sample.sample_id}", f"{found.problem}: {detail}", found.problem)
        if number % 100 == 0:
            progress(number)


def _size(sample: TrainingSample) -> tuple[int, int]:
    return sample.width, sample.height
