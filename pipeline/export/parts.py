"""Which part of an export a record goes to: its split, by image, and its shard."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass

from pipeline.export.options import SPLIT_NAMES, ExportOptions
from schemas.records import CuratedRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A split and a shard of it; both may be absent."""

    split: str = ""
    shard: int = -1

    def of_name(self, name: str) -> str:
        """The name of this part of a file: `labels.json` -> `labels.train-00002.json`."""
        stem, dot, ending = name.rpartition(".")
        marks = f".{self.split}" if self.split else ""
        marks += f"-{self.shard:05d}" if self.shard >= 0 else ""
        return f"{stem}{marks}{dot}{ending}"


class Parts:
    """Gives each record its part.

    The split is a hash of the image: whatever the order and however the run grows, an image with
    all its captions, and its exact copies, stay on one side. Shares are met on average.
    """

    def __init__(self, options: ExportOptions) -> None:
        self._shares = options.split
        self._seed = options.seed
        self._shard_pairs = options.shard_pairs
        self._pairs: Counter[str] = Counter()

    def splits(self) -> tuple[str, ...]:
        """Names of the splits; one empty name where nothing is split."""
        return SPLIT_NAMES[: len(self._shares)] if self._shares else ("",)

    def first(self) -> list[Part]:
        """Parts that exist also where no record goes there."""
        return [Part(split=split, shard=0 if self._shard_pairs else -1) for split in self.splits()]

    def of(self, record: CuratedRecord) -> Part:
        """The part of a record; counts it."""
        split = self._split(record)
        number = self._pairs[split]
        self._pairs[split] += 1
        return Part(split=split, shard=number // self._shard_pairs if self._shard_pairs else -1)

    def _split(self, record: CuratedRecord) -> str:
        if not self._shares:
            return ""
        key = f"{self._seed}:{record.image_sha256 or record.image_uri}"
        digest = hashlib.blake2b(key.encode(), digest_size=8).digest()
        place = int.from_bytes(digest, "big") / 2**64
        for name, share in zip(SPLIT_NAMES, self._shares, strict=False):
            if place < share:
                return name
            place -= share
        return SPLIT_NAMES[len(self._shares) - 1]
