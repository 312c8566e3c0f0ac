"""Look at a corpus without a teacher: pairs, bad records by reason, sizes, captions, repeats."""

from __future__ import annotations

import json as json_module
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import tyro

from jobs.arguments import Corpus
from pipeline.corpus.options import CorpusOptions
from schemas.errors import ConfigError
from schemas.plan import Unit
from schemas.records import CorpusRecord

EXAMPLES = ("glipforge corpus check photos --limit 1000",)
LARGE = 4
"""Times the usual number of records, from which a unit is mentioned."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Options of `glipforge corpus`."""

    action: tyro.conf.Positional[Literal["check"]]
    """What to do."""
    corpus: tyro.conf.Positional[Corpus]
    """A file, a folder, a pattern or a URL, as for `glipforge label`."""
    reading: tyro.conf.OmitArgPrefixes[CorpusOptions] = field(default_factory=CorpusOptions)
    """How the corpus is read."""
    limit: int = 0
    """Read so many records, in units spread over the corpus; 0: all."""
    json: bool = False
    """Print JSON."""


def run(config: Config) -> int:
    """Print what was found; returns 0, or 1 if a file cannot be read or nothing is usable."""
    from pipeline.corpus import open_corpus
    from pipeline.corpus.check import check_corpus
    from pipeline.images.decode import ImageLimits
    from schemas.errors import UnitError

    if config.limit < 0:
        raise ConfigError(f"limit must be 0 or more, got {config.limit}")
    corpus = open_corpus(config.corpus, config.reading)
    units = corpus.units()
    unreadable: list[str] = []
    sizes: Counter[str] = Counter()

    def records() -> Iterator[CorpusRecord]:
        count = 0
        for unit in _spread(units) if config.limit else units:
            try:
                for record in corpus.read(unit):
                    yield record
                    count += 1
                    sizes[unit.unit_id] += 1
                    if config.limit and count >= config.limit:
                        return
            except UnitError as error:
                unreadable.append(str(error))

    found = check_corpus(records(), ImageLimits(), corpus.access).to_dict()
    files = corpus.inputs()
    facts: dict[str, Any] = {
        "corpus": corpus.uri,
        "format": corpus.format,
        "explanation": corpus.explanation,
        "files": len(files),
        "bytes": sum(file.size for file in files),
        "units": len(units),
        "largest_unit": max(sizes.values(), default=0),
        "unreadable_files": unreadable,
    }
    if config.json:
        print(json_module.dumps(facts | found))
    else:
        _print(facts, found, limited=bool(config.limit))
    for reason in unreadable:
        print(f"glipforge corpus: {reason}", file=sys.stderr)
    return 1 if unreadable or not found["usable"] else 0


def _spread(units: tuple[Unit, ...]) -> list[Unit]:
    """Units in an order whose beginning is spread over the corpus."""
    order: list[Unit] = []
    step = 1
    while step < len(units):
        step *= 2
    seen: set[int] = set()
    while step:
        for number in range(0, len(units), step):
            if number not in seen:
                seen.add(number)
                order.append(units[number])
        step //= 2
    return order


def _print(facts: dict[str, Any], found: dict[str, Any], *, limited: bool) -> None:
    from pipeline.corpus import RECORDS_PER_UNIT

    print(f"corpus   {facts['corpus']} ({facts['format']}) {facts['explanation']}".rstrip())
    size = f"{facts['bytes'] / 1e6:,.1f} MB"
    units = f"{facts['units']:,} unit{'s' * (facts['units'] != 1)} of work"
    print(f"files    {facts['files']:,}, {size}, {units}")
    if facts["largest_unit"] > LARGE * RECORDS_PER_UNIT:
        print(
            f"  a unit has {facts['largest_unit']:,} pairs, and a crash costs all of it: a row "
            "group of Parquet and a packed or remote tar are not divided; write smaller ones"
        )
    part = " looked at" if limited else ""
    print(f"pairs    {found['records']:,}{part}, {found['usable']:,} usable")
    for status, number in found["problems"].items():
        print(f"  {status:<16} {number:>10,}   e.g. {found['examples'][status]}")
    for name in ("caption_chars", "caption_words", "image_width", "image_height"):
        if spread := found[name]:
            label = name.replace("_", " ")
            print(
                f"  {label:<16} {spread['min']:,} to {spread['max']:,}, median "
                f"{spread['median']:,.0f}"
            )
    print(f"repeats  {found['repeated_captions']:,} captions that another pair has too")
    if found["repeated_images"]:
        print(
            f"         {found['repeated_images']:,} more pairs of an image that has one: several "
            "captions of an image make several pairs"
        )
    for entry in found["most_repeated"]:
        print(f"  {entry['count']:>10,} x {entry['caption']!r}")
