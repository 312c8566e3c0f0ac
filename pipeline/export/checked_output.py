"""What every exporter shares: the checked record, the summary of a file, publishing it whole."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pipeline.storage.files import filesystem_of, is_local
from schemas.atomic import publish
from schemas.checks import check_curated
from schemas.errors import ConfigError
from schemas.records import CuratedBox, CuratedRecord, Phrase, PhraseStatus, Span

NEGATIVE_BELOW = 0.1
"""A phrase without a box is a recorded negative if no candidate reached this score."""

NO_BOX = "pair without a box"
NEGATIVE_OVERLAP = "negative phrase that overlaps a named one"
OUTSIDE_ROOT = "image outside of the image root: its whole address is written"


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """What the formats may be told."""

    image_root: str = ""
    """File names are written relative to this folder or URL; empty: whole addresses."""
    categories: str = "head"
    """coco and lvis: one category per head noun (`head`), or a single dummy one (`object`)."""
    dataset_name: str = "mixed"
    """goldg: what loaders select their image folder by."""
    data_source: str = "vg"
    """goldg: the image folder that loaders of mixed sets choose (`vg` or `coco`)."""

    def __post_init__(self) -> None:
        if self.categories not in ("head", "object"):
            raise ConfigError(f"categories must be head or object, got {self.categories!r}")


@dataclass(kw_only=True)
class ExportSummary:
    """What an export wrote, and what it left out and why."""

    format: str
    paths: list[str]
    records: int = 0
    boxes: int = 0
    spans: int = 0
    """Box-phrase links."""
    negatives: int = 0
    """Recorded negative phrases written."""
    left_out: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    """What a reader of the file must know."""


class ExportBorder:
    """Checks records on their way out and counts into a summary."""

    def __init__(self, summary: ExportSummary, options: ExportOptions) -> None:
        self.summary = summary
        self.options = options

    def accept(self, record: CuratedRecord) -> bool:
        """True where the record is written; it is checked again first.

        Raises:
            DataError: a span does not hold its text, or a box leaves its image.
        """
        check_curated(record, f"export, record {self.summary.records}")
        if not record.boxes:
            self.summary.left_out[NO_BOX] += 1
            return False
        self.summary.records += 1
        self.summary.boxes += len(record.boxes)
        self.summary.spans += sum(len(box.phrase_indices) for box in record.boxes)
        return True

    def file_name(self, record: CuratedRecord) -> str:
        """The image's address relative to the image root."""
        root = self.options.image_root.rstrip("/")
        if not root:
            return record.image_uri
        if record.image_uri.startswith(root + "/"):
            return record.image_uri[len(root) + 1 :]
        self.summary.left_out[OUTSIDE_ROOT] += 1
        return record.image_uri

    def negatives(self, record: CuratedRecord) -> list[Phrase]:
        """Phrases that are known to have no box; those that overlap a named span are counted."""
        named = sorted({i for box in record.boxes for i in box.phrase_indices})
        spans = [(record.phrases[i].start, record.phrases[i].end) for i in named]
        found = []
        for index, phrase in enumerate(record.phrases):
            if index in named or phrase.status != PhraseStatus.OK:
                continue
            if phrase.best_score >= NEGATIVE_BELOW:
                continue
            if any(phrase.start < end and start < phrase.end for start, end in spans):
                self.summary.left_out[NEGATIVE_OVERLAP] += 1
            else:
                found.append(phrase)
        self.summary.negatives += len(found)
        return found


def box_spans(record: CuratedRecord, box: CuratedBox) -> list[Span]:
    """The spans that name a box, in the order of the caption, each once."""
    spans = {(record.phrases[i].start, record.phrases[i].end) for i in box.phrase_indices}
    return sorted(spans)


def short_float(value: float) -> float:
    """The shortest decimal that is the same float32: 10.1, not 10.100000381469727."""
    return float(str(np.float32(value)))


def short_xyxy(box: CuratedBox) -> list[float]:
    """[x0, y0, x1, y1] in short decimals."""
    return [short_float(v) for v in box.xyxy]


def short_xywh(box: CuratedBox) -> list[float]:
    """COCO's [x, y, width, height] in short decimals."""
    x0, y0, x1, y1 = box.xyxy
    return [short_float(v) for v in (x0, y0, x1 - x0, y1 - y0)]


@contextmanager
def published(path: str) -> Iterator[Path]:
    """A local file to write; it appears at `path` (a path or URL) only if nothing failed.

    Raises:
        ConfigError: nothing can be written there.
    """
    filesystem, target = filesystem_of(path)
    folder_above = os.path.dirname(target) if is_local(path) else None
    try:
        if folder_above is not None:
            os.makedirs(folder_above, exist_ok=True)
        folder = tempfile.mkdtemp(prefix=".export-", dir=folder_above)
    except OSError as error:
        raise ConfigError(f"out {path!r} cannot be written: {error}") from error
    try:
        staged = Path(folder) / "staged"
        yield staged
        if folder_above is None:
            filesystem.put_file(str(staged), target)
            return
        publish(staged, Path(target))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
