"""A corpus looked at without a teacher: pairs, which cannot be used and why, sizes, captions."""

from __future__ import annotations

import hashlib
import statistics
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from pipeline.images.access import ANYTHING, ImageAccess
from pipeline.images.decode import ImageLimits, image_size
from pipeline.images.fetch import read_image_uri
from schemas.errors import RecordError
from schemas.records import CorpusRecord, Status
from schemas.redaction import shown

NUM_THREADS = 8
BATCH = 256
TOP = 5


@dataclass(kw_only=True)
class CorpusCheck:
    """What was found. Lengths are of usable pairs only."""

    records: int = 0
    usable: int = 0
    problems: Counter[str] = field(default_factory=Counter)
    """Records that cannot be used, by status."""
    examples: dict[str, str] = field(default_factory=dict)
    """For each status one `<record id>: <detail>`."""
    caption_chars: list[int] = field(default_factory=list)
    caption_words: list[int] = field(default_factory=list)
    image_sides: list[tuple[int, int]] = field(default_factory=list)
    """(width, height)."""
    captions: Counter[bytes] = field(default_factory=Counter)
    """By hash: a million captions stay small."""
    repeated: dict[bytes, str] = field(default_factory=dict)
    images_seen: Counter[bytes] = field(default_factory=Counter)

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        pixels = sorted(width * height for width, height in self.image_sides)
        repeats = sum(count - 1 for count in self.captions.values() if count > 1)
        top = [
            {"caption": self.repeated[key], "count": count}
            for key, count in self.captions.most_common(TOP)
            if count > 1
        ]
        return {
            "records": self.records,
            "usable": self.usable,
            "problems": dict(self.problems.most_common()),
            "examples": self.examples,
            "caption_chars": _spread(self.caption_chars),
            "caption_words": _spread(self.caption_words),
            "image_width": _spread([width for width, _ in self.image_sides]),
            "image_height": _spread([height for _, height in self.image_sides]),
            "image_pixels": _spread(pixels),
            "repeated_captions": repeats,
            "most_repeated": top,
            "repeated_images": sum(c - 1 for c in self.images_seen.values() if c > 1),
        }


def check_corpus(
    records: Iterable[CorpusRecord], limits: ImageLimits, access: ImageAccess = ANYTHING
) -> CorpusCheck:
    """Read every record and the header of every image; no pixel is decoded.

    Raises:
        UnitError, RetryableError: a file of the corpus, or a store, cannot be read.
    """
    found = CorpusCheck()
    source = iter(records)
    with ThreadPoolExecutor(NUM_THREADS) as pool:
        while batch := list(islice(source, BATCH)):
            looked = pool.map(lambda record: _look(record, limits, access), batch)
            for record, answer in zip(batch, looked, strict=True):
                _count(found, record, answer)
    return found


@dataclass(frozen=True, slots=True)
class _Image:
    size_wh: tuple[int, int]
    digest: bytes


def _look(
    record: CorpusRecord, limits: ImageLimits, access: ImageAccess
) -> _Image | tuple[Status, str]:
    if record.error is not None:
        return record.error
    try:
        data = record.image_bytes
        if data is None:
            data = read_image_uri(record.image_uri or "", access=access)
        return _Image(image_size(data, limits), hashlib.blake2b(data, digest_size=8).digest())
    except RecordError as error:
        return Status(error.status), error.detail


def _count(found: CorpusCheck, record: CorpusRecord, answer: _Image | tuple[Status, str]) -> None:
    found.records += 1
    if isinstance(answer, tuple):
        status, detail = answer
        found.problems[str(status)] += 1
        found.examples.setdefault(str(status), shown(f"{record.record_id}: {detail}"[:300]))
        return
    caption = record.caption or ""
    found.usable += 1
    found.caption_chars.append(len(caption))
    found.caption_words.append(len(caption.split()))
    found.image_sides.append(answer.size_wh)
    found.images_seen[answer.digest] += 1
    key = hashlib.blake2b(caption.encode(), digest_size=8).digest()
    found.captions[key] += 1
    if found.captions[key] == 2:
        found.repeated[key] = caption[:80]


def _spread(values: list[int]) -> dict[str, float]:
    if not values:
        return {}
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}
